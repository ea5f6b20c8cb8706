/** A run over Server-Sent Events with `fetch`: a parser, and a reader that resumes by itself. */

/** @import {Sink} from "./types.js" */
/** @import {Http} from "./http.js" */

import { backoff } from "./backoff.js";
import { ProblemError, asProblem } from "./problem.js";

const TERMINAL = new Set(["run.completed", "run.failed", "run.cancelled"]);

/** @typedef {{id: string, name: string, data: string}} ServerSentEvent `name` is "" without one. */

/** Splits a stream of text into events, as of the WHATWG HTML standard, 9.2.6. */
export class EventStreamParser {
  #rest = "";
  #id = "";
  #name = "";
  /** @type {string[]} */ #data = [];

  /**
   * @param {string} text the next piece, cut anywhere.
   * @returns {ServerSentEvent[]} the events it completes.
   */
  push(text) {
    /** @type {ServerSentEvent[]} */ const events = [];
    const whole = this.#rest + text;
    // A CR at the very end may be half of a CRLF.
    const usable = whole.endsWith("\r") ? whole.slice(0, -1) : whole;
    const lines = usable.split(/\r\n|\r|\n/);
    this.#rest = (lines.pop() ?? "") + whole.slice(usable.length);
    for (const line of lines) {
      const event = this.#line(line);
      if (event) events.push(event);
    }
    return events;
  }

  /** @param {string} line */
  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }

  #dispatch() {
    const event = { id: this.#id, name: this.#name, data: this.#data.join("\n") };
    const any = this.#data.length > 0;
    this.#name = "";
    this.#data = [];
    return any ? event : null;
  }
}

/** Follows one run from its start to its terminal event, through any number of lost connections. */
export class EventStream {
  #stop = new AbortController();
  #cursor = "0";
  #finished = false;
  #returnMs = 0;

  /** @param {Http} http @param {string} run @param {Sink} sink */
  constructor(http, run, sink) {
    this.http = http;
    this.run = run;
    this.sink = sink;
  }

  /** Stop reading; the sink hears no more. */
  close() {
    this.#stop.abort();
  }

  /** Read to the end. Never throws: what goes wrong is told to the sink. */
  async follow() {
    for (let attempt = 0; !this.#finished && !this.#stop.signal.aborted; attempt += 1) {
      const before = this.#cursor;
      try {
        await this.#connection(attempt > 0);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (error instanceof ProblemError && !error.problem.retryable) {
          this.sink.refused(error.problem);
          return;
        }
        console.debug("SSE connection ended:", asProblem(error).detail);
      }
      if (this.#finished || this.#stop.signal.aborted) return;
      this.sink.severed();
      if (this.#cursor !== before) attempt = 0;
      await pause(this.#returnMs || backoff(attempt), this.#stop.signal);
      this.#returnMs = 0;
    }
  }

  /** @param {boolean} again */
  async #connection(again) {
    const response = await this.http.response(`/v1/runs/${encodeURIComponent(this.run)}/events`, {
      headers: { Accept: "text/event-stream", "Last-Event-ID": this.#cursor },
      signal: this.#stop.signal,
      cache: "no-store",
    });
    if (response.status === 204) {
      this.#finished = true;
      this.sink.ended();
      return;
    }
    if (!response.body) throw new Error("The answer is empty.");
    this.sink.opened({ run: this.run });
    if (again) this.sink.resumed(this.#cursor);
    const parser = new EventStreamParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      for (const event of parser.push(read.value)) this.#take(event);
    }
  }

  /** @param {ServerSentEvent} event */
  #take(event) {
    const value = JSON.parse(event.data);
    if (event.name === "gap") this.sink.gap(value);
    else if (event.name === "goaway") this.#returnMs = value.reconnect_after_ms;
    if (event.name !== "") return;
    this.#cursor = event.id;
    this.sink.receive(event.data, value);
    if (!TERMINAL.has(value.type)) return;
    this.#finished = true;
    this.sink.ended();
  }
}

/** @param {number} ms @param {AbortSignal} signal ends the wait early. @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
