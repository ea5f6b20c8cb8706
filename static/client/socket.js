/** Many streams on one WebSocket: start, follow, cancel; resumes all of them after a loss. */

/** @import {LinkState, Problem, Sink} from "./types.js" */
/** @import {Http} from "./http.js" */
/** @import {Patience} from "./patience.js" */

import { Commands } from "./commands.js";
import { Hold } from "./hold.js";
import { Link } from "./link.js";
import { CONNECTION_LOST, StreamError } from "./problem.js";
import { Subscription } from "./subscription.js";

const PING_MS = 5_000;

/** A multiplexed socket. */
export class Socket {
  /** @type {Map<string, Subscription>} */ #streams = new Map();
  #count = 0;
  #maxStreams = 64;
  #flushing = false;
  #stays = false;
  /** @type {ReturnType<typeof setInterval>|undefined} */ #pinging;

  /**
   * @param {Http} http
   * @param {(state: LinkState) => void} changed the connection's state.
   * @param {{connectMs: number, WebSocket?: typeof globalThis.WebSocket}} options see `Link`.
   */
  constructor(http, changed, options) {
    this.hold = new Hold((item) => this.#deliver(item.stream, item.frame, item.text));
    this.link = new Link(
      http,
      {
        opened: (welcome) => this.#opened(welcome),
        received: (frame, text) => this.#received(frame, text),
        heard: () => this.#streams.forEach(({ patience }) => patience?.progressed()),
        lost: () => this.#lost(),
        failed: (problem, ms) => this.#giveUp(problem, (patience) => !patience.lasts(ms)),
        refused: (problem) => this.#giveUp(problem, () => true),
        wanted: () => this.#stays || this.#streams.size > 0,
        changed,
      },
      options,
    );
    this.commands = new Commands(this.link);
  }

  /** Of the last ping, in milliseconds; only once `open` was called. */
  get roundTripMs() {
    return this.commands.roundTripMs;
  }

  /** Connect, and stay connected; without it there is a connection while there are streams. */
  open() {
    this.#stays = true;
    this.#pinging ??= setInterval(() => this.commands.ping(), PING_MS);
    if (this.link.state.name === "idle") this.link.retry();
  }

  /** Let go of the connection, and end every stream. @param {Problem} problem why. */
  close(problem) {
    this.#stays = false;
    clearInterval(this.#pinging);
    this.#pinging = undefined;
    this.link.close();
    this.#giveUp(problem, () => true);
  }

  /**
   * Start a run and follow it. If the connection breaks before the service has answered, the start
   * is sent again: an equal run under way is joined, unless it bypasses the cache.
   *
   * @param {string} recipe
   * @param {object} input the body of the REST call.
   * @param {Sink} sink
   * @param {Patience|null} [patience] see `Subscription`.
   * @returns {string} the stream's name; `follow` too.
   */
  start(recipe, input, sink, patience = null) {
    return this.#add(sink, patience, { order: { recipe, input } });
  }

  /** Follow a run behind a cursor. @param {string} run @param {string} after @param {Sink} sink @param {Patience|null} [patience] */
  follow(run, after, sink, patience = null) {
    return this.#add(sink, patience, { run, cursor: after, phase: "waiting" });
  }

  /** Leave a stream; its run goes on by its own policy. @param {string} name */
  leave(name) {
    this.pause(name);
    this.#streams.delete(name);
  }

  /**
   * Leave a stream that was started here, and want its run no more, unless another stream of this
   * connection does: the claim on a run is the connection's. It went with one that was lost, and
   * then the run ends by its own policy.
   *
   * @param {string} name
   */
  async abandon(name) {
    const stream = this.#streams.get(name);
    if (!stream) return;
    this.leave(name);
    if (stream.phase === "asked") stream.phase = "over"; // its answer will find it so
    if (stream.run !== null && stream.claimed) await this.#disclaim(stream.run);
  }

  /** Read a stream no more for now. @param {string} name */
  pause(name) {
    const stream = this.#streams.get(name);
    if (stream?.phase !== "open") return;
    this.commands.send({ type: "unsubscribe", stream: name });
    stream.phase = "held";
  }

  /** Read a paused stream on. @param {string} name @param {string} cursor */
  resume(name, cursor) {
    const stream = this.#streams.get(name);
    if (stream?.phase !== "held") return;
    stream.cursor = cursor;
    stream.phase = "waiting";
    this.#flushSoon();
  }

  /** Want a run no more. @param {string} run @returns {Promise<{state: string, shared: boolean}>} `shared`: others still do. */
  cancel(run) {
    return new Promise((resolve, reject) => {
      if (!this.link.ready) throw new StreamError(CONNECTION_LOST);
      this.commands.send({ type: "cancel", run }, (reply) =>
        reply.error ? reject(new StreamError(reply.error)) : resolve(reply),
      );
    });
  }

  /** @param {string} run */
  async #disclaim(run) {
    const shared = [...this.#streams.values()].some((other) => other.run === run && other.claimed);
    if (!shared) await this.cancel(run);
  }

  /** @param {Sink} sink @param {Patience|null} patience @param {Partial<Subscription>} more */
  #add(sink, patience, more) {
    const stream = new Subscription(`s${++this.#count}`, sink, patience, () => this.#flushSoon());
    this.#streams.set(stream.name, Object.assign(stream, more));
    const { name: state } = this.link.state;
    if (patience && (state === "idle" || state === "refused")) this.link.retry();
    else if (this.link.away && state !== "idle") sink.severed();
    this.#flushSoon();
    return stream.name;
  }

  #flushSoon() {
    if (this.#flushing) return;
    // Everything that is asked for in one turn goes out in one subscribe.
    this.#flushing = true;
    queueMicrotask(() => this.#flush());
  }

  #flush() {
    this.#flushing = false;
    if (!this.link.ready) return;
    const all = [...this.#streams.values()];
    const room = this.#maxStreams - all.filter((stream) => stream.occupies).length;
    const waiting = all.filter(({ phase }) => phase === "waiting").slice(0, Math.max(0, room));
    if (waiting.length) this.#subscribe(waiting);
    for (const stream of all) if (stream.phase === "new") this.#start(stream);
  }

  /** @param {Subscription[]} streams */
  #subscribe(streams) {
    for (const stream of streams) stream.phase = "asked";
    const asked = streams.map((s) => ({ stream: s.name, run: s.run, after: s.cursor }));
    this.commands.send({ type: "subscribe", streams: asked }, (reply) => {
      const told = new Map((reply.streams ?? []).map((/** @type {any} */ s) => [s.stream, s]));
      for (const stream of streams) this.#answered(stream, told.get(stream.name) ?? reply);
    });
  }

  /** @param {Subscription} stream */
  #start(stream) {
    stream.phase = "asked";
    this.commands.send({ type: "start", stream: stream.name, ...stream.order }, (reply) =>
      this.#answered(stream, reply),
    );
  }

  /** @param {Subscription} stream @param {any} reply the service's word on one stream. */
  #answered(stream, reply) {
    if (reply.lost) return; // asked again when the connection is back
    if (this.#streams.get(stream.name) !== stream) {
      // Left before it was open.
      if (reply.error) return;
      this.commands.send({ type: "unsubscribe", stream: stream.name });
      if (stream.phase !== "over" || !stream.order) return;
      this.#disclaim(reply.run).catch(() => {}); // then its run ends by its own policy
    } else if (reply.error) {
      stream.refused(reply.error);
      if (stream.phase === "over") this.#streams.delete(stream.name);
    } else {
      stream.opened(reply);
    }
  }

  /** Refuse what has waited long enough. @param {Problem} problem @param {(patience: Patience) => boolean} over */
  #giveUp(problem, over) {
    for (const stream of [...this.#streams.values()]) {
      if (!stream.patience || !over(stream.patience)) continue;
      this.#streams.delete(stream.name);
      stream.end(problem);
    }
  }

  /** @param {any} welcome */
  #opened(welcome) {
    this.#maxStreams = welcome.limits.streams;
    this.commands.maxBytes = welcome.limits.message_bytes;
    this.#flush();
    if (this.#stays) this.commands.ping();
  }

  #lost() {
    this.hold.clear();
    for (const stream of [...this.#streams.values()]) stream.lost();
    this.commands.lost();
  }

  /** @param {any} frame @param {string} text */
  #received(frame, text) {
    if (frame.type === "reply" || frame.type === "pong") {
      this.commands.answered(frame);
    } else if (frame.stream !== undefined) {
      const stream = this.#streams.get(frame.stream);
      if (stream) this.hold.push({ stream, frame, text });
    }
  }

  /** @param {Subscription} stream @param {any} frame @param {string} text */
  #deliver(stream, frame, text) {
    if (this.#streams.get(stream.name) !== stream) return;
    stream.deliver(frame, text);
    if (stream.phase !== "over") return;
    this.#streams.delete(stream.name);
    this.#flush();
  }
}
