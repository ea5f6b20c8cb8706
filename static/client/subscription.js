/** One stream of a socket: how far it is, and what the service's word on it means. */

/** @import {Order, Problem, Sink} from "./types.js" */
/** @import {Patience} from "./patience.js" */

/**
 * `new` = not started yet; `waiting` = to be subscribed; `asked` = its command is on the way;
 * `open` = the service sends it; `resting` = it was refused for now; `held` = nothing is wanted of
 * it now; `over` = it is no more.
 *
 * @typedef {"new"|"waiting"|"asked"|"open"|"resting"|"held"|"over"} Phase
 */

export class Subscription {
  /** @type {string|null} */ run = null;
  /** Of the last event that was handed on. */ cursor = "0";
  /** @type {Phase} */ phase = "new";
  /** @type {Order|null} */ order = null;
  /** Whether this very connection has started its run. */ claimed = false;
  #severed = false;

  /**
   * @param {string} name
   * @param {Sink} sink
   * @param {Patience|null} patience with a connection, and with refusals that pass; null: with a
   *   connection for ever, with refusals not at all.
   * @param {() => void} ready called when it wants to be asked for again.
   */
  constructor(name, sink, patience, ready) {
    this.name = name;
    this.sink = sink;
    this.patience = patience;
    this.ready = ready;
  }

  /** Whether it counts among the streams of its connection. */
  get occupies() {
    return this.phase === "asked" || this.phase === "open";
  }

  /** @param {{run: string}} reply the service sends it from now on. */
  opened(reply) {
    this.phase = "open";
    this.claimed ||= this.run === null;
    this.run = reply.run ?? this.run;
    this.sink.opened({ ...reply, run: reply.run ?? this.run });
    if (this.#severed) this.sink.resumed(this.cursor);
    this.#severed = false;
  }

  /** The connection is lost. */
  lost() {
    this.#severed ||= this.phase === "open";
    if (this.occupies) this.#again();
    this.claimed = false;
    this.sink.severed();
  }

  /** The service refuses it: for now, or for good. @param {Problem} problem */
  refused(problem) {
    const ms = problem.retryable ? this.patience?.pause(problem.retry_after_ms ?? 0) : undefined;
    if (ms == null) {
      this.end(problem);
      return;
    }
    this.phase = "resting";
    setTimeout(() => {
      if (this.phase !== "resting") return;
      this.#again();
      this.ready();
    }, ms);
  }

  /** Nothing follows, and why. @param {Problem} problem */
  end(problem) {
    this.phase = "over";
    // The service names the field of the frame; the caller has given the input alone.
    const field = problem.field?.replace(/^input\./, "");
    this.sink.refused(field ? { ...problem, field } : problem);
  }

  /** @param {any} frame @param {string} text */
  deliver(frame, text) {
    if (this.phase !== "open") return;
    this.patience?.progressed();
    if (frame.event) {
      this.cursor = frame.event.id;
      this.sink.receive(text.slice(text.indexOf('"event":') + 8, -1), frame.event);
    } else if (frame.type === "gap") {
      this.sink.gap(frame);
    } else if (frame.type === "end") {
      this.phase = "over";
      this.sink.ended();
    }
  }

  #again() {
    this.phase = this.run === null ? "new" : "waiting";
  }
}
