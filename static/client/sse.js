/** A run over Server-Sent Events with `fetch`: started or followed, and resumed by itself. */

/** @import {Order, Sink} from "./types.js" */
/** @import {ServerSentEvent} from "./eventparser.js" */
/** @import {Http} from "./http.js" */
/** @import {Patience} from "./patience.js" */

import { EventStreamParser } from "./eventparser.js";
import { TERMINAL } from "./fold.js";
import { bodyOf, reached } from "./http.js";
import { StreamError, unexpected, unreachable } from "./problem.js";

const LEAVE_MS = 5_000;
const PAUSED = "paused";

/** Reads one run to its terminal event, through any number of lost connections. */
export class EventStream {
  #connection = new AbortController();
  #cursor = "0";
  #run = "";
  #claim = "";
  #finished = false;
  #returnMs = 0;
  /** Names the start, so that it can be sent again. */ #key = newKey();
  /** While it is paused. @type {Promise<void>|null} */ #held = null;
  #release = () => {};

  /**
   * @param {Http} http
   * @param {Sink} sink
   * @param {Patience} patience
   * @param {object} what
   * @param {string} [what.run] a run to follow,
   * @param {string} [what.after] behind this cursor;
   * @param {Order|null} [what.order] or one to start.
   */
  constructor(http, sink, patience, { run = "", after = "0", order = null }) {
    this.http = http;
    this.sink = sink;
    this.patience = patience;
    this.order = order;
    this.#run = run;
    this.#cursor = after;
  }

  /** See `Feed`. */
  close() {
    this.#finished = true;
    this.#connection.abort();
    this.#release();
  }

  /** See `Feed`. */
  async abandon() {
    this.close();
    if (!this.#run) return;
    const claim = this.#claim && `?claim=${encodeURIComponent(this.#claim)}`;
    await this.http.call("POST", `/v1/runs/${encodeURIComponent(this.#run)}/cancel${claim}`, undefined, {}, LEAVE_MS);
  }

  /** See `Feed`. */
  pause() {
    this.#held ??= new Promise((resolve) => {
      this.#release = () => resolve(undefined);
    });
    this.#connection.abort(PAUSED);
  }

  /** See `Feed`. @param {string} cursor */
  resume(cursor) {
    this.#cursor = cursor;
    this.#held = null;
    this.#release();
  }

  /** Read to the end. Never throws: what goes wrong is told to the sink. */
  async follow() {
    for (let severed = false; !this.#finished; ) {
      const error = await this.#attempt(severed);
      severed = false;
      if (this.#finished) return;
      if (error === PAUSED) {
        await this.#held;
        continue;
      }
      this.sink.severed();
      severed = this.#run !== "";
      // What the service has refused by this key it would refuse again.
      if (error.code !== "unreachable") this.#key = newKey();
      const leastMs = this.#returnMs || (error.retryAfterMs ?? 0);
      this.#returnMs = 0;
      const ms = error.retryable ? this.patience.pause(leastMs) : null;
      if (ms === null) {
        this.#finished = true;
        this.sink.refused(error.problem);
        return;
      }
      this.#connection = new AbortController();
      await pause(ms, this.#connection.signal);
    }
  }

  /** One connection, to its end. @param {boolean} again @returns {Promise<StreamError|typeof PAUSED>} why it ended. */
  async #attempt(again) {
    const connection = new AbortController();
    this.#connection = connection;
    const silence = () =>
      setTimeout(() => connection.abort(new StreamError(unreachable("It fell silent."))), this.http.silenceMs);
    let timer = silence();
    const heard = () => {
      clearTimeout(timer);
      timer = silence();
    };
    try {
      await this.#read(again, connection.signal, heard);
      if (connection.signal.reason === PAUSED) return PAUSED;
      return new StreamError(unreachable("The connection ended before the answer did."));
    } catch (error) {
      if (error === PAUSED) return error;
      connection.abort();
      return error instanceof StreamError ? error : new StreamError(unexpected(String(error)));
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {boolean} again @param {AbortSignal} signal @param {() => void} heard */
  async #read(again, signal, heard) {
    const response = await this.#response(signal);
    if (response.status === 204) {
      this.#finished = true;
      this.sink.ended();
      return;
    }
    const { headers, body } = response;
    this.#run ||= headers.get("X-Run-Id") ?? "";
    this.#claim ||= headers.get("X-Run-Claim") ?? "";
    if (!body || !this.#run || !headers.get("Content-Type")?.startsWith("text/event-stream")) {
      throw new StreamError(unexpected("It is no stream."));
    }
    this.sink.opened({ run: this.#run, cache: cacheOf(headers), claim: this.#claim });
    if (again) this.sink.resumed(this.#cursor);
    const parser = new EventStreamParser();
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reached(reader.read(), signal);
      if (done) return;
      heard();
      for (const event of parser.push(value)) {
        if (signal.aborted) return; // closed or paused by the sink
        this.#take(event);
      }
    }
  }

  /** @param {AbortSignal} signal */
  #response(signal) {
    const headers = { Accept: "text/event-stream" };
    const init = { signal, cache: /** @type {const} */ ("no-store") };
    if (!this.#run && this.order) {
      const { recipe, input } = this.order;
      const body = bodyOf(input, { ...headers, "Idempotency-Key": this.#key });
      return this.http.response(`/v1/${recipe}`, { ...init, method: "POST", ...body });
    }
    const path = `/v1/runs/${encodeURIComponent(this.#run)}/events`;
    return this.http.response(path, { ...init, headers: { ...headers, "Last-Event-ID": this.#cursor } });
  }

  /** @param {ServerSentEvent} event */
  #take(event) {
    const value = JSON.parse(event.data);
    if (event.name === "gap") this.sink.gap(value);
    else if (event.name === "goaway") this.#returnMs = value.reconnect_after_ms;
    else this.patience.progressed();
    if (event.name !== "") return;
    this.#cursor = event.id;
    this.sink.receive(event.data, value);
    if (!TERMINAL.has(value.type)) return;
    this.#finished = true;
    this.sink.ended();
  }
}

/** How the cache took part, of a `Cache-Status`. @param {Headers} headers @returns {string|undefined} */
function cacheOf(headers) {
  const words = (headers.get("Cache-Status") ?? "").split(";").map((word) => word.trim());
  return words.includes("collapsed") ? "joined" : words[1]?.replace("fwd=", "");
}

/** @returns {string} one that nobody else has; `randomUUID` is for secure pages only. */
function newKey() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(16)).join("-");
}

/** @param {number} ms @param {AbortSignal} signal ends the wait early. @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
