/** Many streams on one WebSocket: start, follow, cancel; resumes all of them after a loss. */

/** @import {LinkState, Sink} from "./types.js" */
/** @import {Http} from "./http.js" */

import { Hold } from "./hold.js";
import { Link } from "./link.js";
import { CONNECTION_LOST, ProblemError, tooLarge } from "./problem.js";

const PING_MS = 5_000;

/**
 * One stream. `phase`: `new` = not started yet; `waiting` = to be subscribed; `asked` = its command
 * is on the way; `open` = the service sends it.
 *
 * @typedef {object} Stream
 * @property {string} name
 * @property {string|null} run
 * @property {string} cursor the last event that was handed on.
 * @property {Sink} sink
 * @property {"new"|"waiting"|"asked"|"open"} phase
 * @property {{recipe: string, input: object}|null} order
 * @property {boolean} severed
 */

/** The multiplexed socket of the page. */
export class Socket {
  /** @type {Map<string, Stream>} */ #streams = new Map();
  /** @type {Map<string, (reply: any) => void>} */ #replies = new Map();
  #count = 0;
  #limits = { streams: 64, message_bytes: 1_048_576 };
  #flushing = false;

  /** Round trip of the last ping in milliseconds. @type {number|null} */
  roundTripMs = null;

  /**
   * @param {Http} http
   * @param {(state: LinkState) => void} changed the connection's state.
   */
  constructor(http, changed) {
    this.hold = new Hold((item) => this.#deliver(item.stream, item.frame, item.text));
    this.link = new Link(http, {
      opened: (welcome) => this.#opened(welcome),
      received: (frame, text) => this.#received(frame, text),
      lost: () => this.#lost(),
      changed,
    });
    setInterval(() => this.#ping(), PING_MS);
  }

  /** Connect. */
  open() {
    this.link.retry();
  }

  /**
   * Start a run and follow it. If the connection breaks before the service has answered, the start
   * is sent again: an equal run under way is joined, unless it bypasses the cache.
   *
   * @param {string} recipe
   * @param {object} input the body of the REST call.
   * @param {Sink} sink
   * @returns {string} the stream's name.
   */
  start(recipe, input, sink) {
    return this.#add({ run: null, cursor: "0", sink, phase: "new", order: { recipe, input } });
  }

  /**
   * Follow a run.
   *
   * @param {string} run
   * @param {string} after a cursor, `"0"` for the start.
   * @param {Sink} sink
   * @returns {string} the stream's name.
   */
  follow(run, after, sink) {
    return this.#add({ run, cursor: after, sink, phase: "waiting", order: null });
  }

  /** Leave a stream; its run goes on by its own policy. @param {string} name */
  leave(name) {
    const stream = this.#streams.get(name);
    if (!stream) return;
    this.#streams.delete(name);
    if (stream.phase === "open") this.#command({ type: "unsubscribe", stream: name });
  }

  /**
   * Want a run no more.
   *
   * @param {string} run
   * @returns {Promise<{state: string, shared: boolean}>} `shared`: others still want it.
   */
  cancel(run) {
    return new Promise((resolve, reject) => {
      if (!this.link.ready) throw new ProblemError(CONNECTION_LOST);
      this.#command({ type: "cancel", run }, (reply) =>
        reply.error ? reject(new ProblemError(reply.error)) : resolve(reply),
      );
    });
  }

  /** @param {Omit<Stream, "name"|"severed">} stream */
  #add(stream) {
    const name = `s${++this.#count}`;
    this.#streams.set(name, { ...stream, name, severed: false });
    if (this.link.away) stream.sink.severed();
    if (!this.#flushing) {
      // Everything that is asked for in one turn goes out in one subscribe.
      this.#flushing = true;
      queueMicrotask(() => this.#flush());
    }
    return name;
  }

  #flush() {
    this.#flushing = false;
    if (!this.link.ready) return;
    const all = [...this.#streams.values()];
    const room = this.#limits.streams - all.filter((s) => s.phase === "asked" || s.phase === "open").length;
    const waiting = all.filter((s) => s.phase === "waiting").slice(0, Math.max(0, room));
    if (waiting.length) this.#subscribe(waiting);
    for (const stream of all) if (stream.phase === "new") this.#start(stream);
  }

  /** @param {Stream[]} streams */
  #subscribe(streams) {
    for (const stream of streams) stream.phase = "asked";
    const asked = streams.map((s) => ({ stream: s.name, run: s.run, after: s.cursor }));
    this.#command({ type: "subscribe", streams: asked }, (reply) => {
      const told = new Map((reply.streams ?? []).map((/** @type {any} */ s) => [s.stream, s]));
      for (const stream of streams) this.#answered(stream, told.get(stream.name) ?? reply);
    });
  }

  /** @param {Stream} stream */
  #start(stream) {
    stream.phase = "asked";
    this.#command({ type: "start", stream: stream.name, ...stream.order }, (reply) =>
      this.#answered(stream, reply),
    );
  }

  /** @param {Stream} stream @param {any} reply the service's word on one stream. */
  #answered(stream, reply) {
    if (reply.lost) return; // asked again when the connection is back
    if (!this.#streams.has(stream.name)) {
      // Left before it was open.
      if (!reply.error) this.#command({ type: "unsubscribe", stream: stream.name });
    } else if (reply.error) {
      this.#streams.delete(stream.name);
      stream.sink.refused(reply.error);
    } else {
      stream.phase = "open";
      stream.run = reply.run ?? stream.run;
      stream.sink.opened({ ...reply, run: stream.run });
      if (stream.severed) stream.sink.resumed(stream.cursor);
      stream.severed = false;
    }
  }

  /** @param {Record<string, unknown>} frame @param {(reply: any) => void} [answered] */
  #command(frame, answered) {
    const id = String(++this.#count);
    const text = JSON.stringify({ ...frame, id });
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > this.#limits.message_bytes) {
      answered?.({ error: tooLarge(bytes, this.#limits.message_bytes) });
      return;
    }
    if (answered) this.#replies.set(id, answered);
    this.link.send(text);
  }

  /** @param {any} welcome */
  #opened(welcome) {
    this.#limits = { ...this.#limits, ...welcome.limits };
    this.#flush();
    this.#ping();
  }

  #lost() {
    this.hold.clear();
    this.roundTripMs = null;
    for (const stream of this.#streams.values()) {
      if (stream.phase === "open") stream.severed = true;
      stream.sink.severed();
      stream.phase = stream.run === null ? "new" : "waiting";
    }
    const unanswered = [...this.#replies.values()];
    this.#replies.clear();
    for (const answered of unanswered) answered({ lost: true, error: CONNECTION_LOST });
  }

  /** @param {any} frame @param {string} text */
  #received(frame, text) {
    if (frame.type === "reply") {
      const answered = this.#replies.get(frame.id);
      this.#replies.delete(frame.id);
      answered?.(frame);
    } else if (frame.type === "pong") {
      this.#replies.get(frame.id)?.(frame);
      this.#replies.delete(frame.id);
    } else if (frame.stream !== undefined) {
      const stream = this.#streams.get(frame.stream);
      if (stream) this.hold.push({ stream, frame, text });
    }
  }

  /** @param {Stream} stream @param {any} frame @param {string} text */
  #deliver(stream, frame, text) {
    if (this.#streams.get(stream.name) !== stream) return;
    if (frame.event) {
      stream.cursor = frame.event.id;
      stream.sink.receive(text.slice(text.indexOf('"event":') + 8, -1), frame.event);
    } else if (frame.type === "gap") {
      stream.sink.gap(frame);
    } else if (frame.type === "end") {
      this.#streams.delete(stream.name);
      stream.sink.ended();
      this.#flush();
    }
  }

  #ping() {
    if (!this.link.ready) return;
    const sent = performance.now();
    this.#command({ type: "ping" }, (pong) => {
      if (pong.type === "pong") this.roundTripMs = performance.now() - sent;
    });
  }
}
