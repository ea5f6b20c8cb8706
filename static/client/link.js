/** One WebSocket that comes back by itself. Knows when to return, not what is said. */

/** @import {LinkState, Problem} from "./types.js" */
/** @import {Http} from "./http.js" */

import { backoff } from "./backoff.js";
import { UNAUTHENTICATED, asProblem } from "./problem.js";

const PROTOCOL = "llm-stream.v1";
const STABLE_MS = 5_000; // a connection that lasted so long starts the back-off anew
const CHECK_MS = 1_000;
const MISSED_HEARTBEATS = 2.5;

/** The close code of a status with which a ticket is refused. */
const CODES = new Map([[401, 4401], [403, 4403], [421, 4403]]);

/**
 * Keeps a socket open. Close codes 44xx mean "not again unchanged": then it stays closed until
 * `retry`. After anything else it reconnects; a `goaway` says when.
 */
export class Link {
  /** @type {WebSocket|null} */ #socket = null;
  /** @type {LinkState} */ #state = { name: "connecting" };
  #attempt = 0;
  /** Rises with every attempt, and when one is given up. */ #turn = 0;
  #timer = 0;
  #openedAt = 0;
  #heardAt = 0;
  #heartbeatMs = 15_000;
  /** @type {number|null} */ #returnMs = null;

  /** Connections after the first that reached their welcome. */
  reconnects = -1;

  /**
   * @param {Http} http
   * @param {object} handlers
   * @param {(welcome: any) => void} handlers.opened the service has said welcome.
   * @param {(frame: any, text: string) => void} handlers.received any other frame.
   * @param {() => void} handlers.lost called once for each `opened`.
   * @param {(state: LinkState) => void} handlers.changed
   */
  constructor(http, handlers) {
    this.http = http;
    this.handlers = handlers;
    setInterval(() => this.#check(), CHECK_MS);
    addEventListener("online", () => this.#state.name === "waiting" && this.retry());
  }

  /** @returns {LinkState} */
  get state() {
    return this.#state;
  }

  /** Whether frames can be sent now. */
  get ready() {
    return this.#state.name === "open" || this.#state.name === "draining";
  }

  /** Whether there is no connection, and none is being made. */
  get away() {
    return !this.ready && this.#state.name !== "connecting";
  }

  /** Connect now, whatever was planned. */
  retry() {
    clearTimeout(this.#timer);
    this.#detach();
    this.#change({ name: "connecting" });
    void this.#connect();
  }

  /** Open a socket; a key is changed into a ticket before. */
  async #connect() {
    const turn = ++this.#turn;
    const protocols = [PROTOCOL];
    try {
      if (this.http.key) protocols.push(await this.http.ticket());
    } catch (error) {
      if (turn === this.#turn) this.#refused(asProblem(error));
      return;
    }
    if (turn !== this.#turn) return; // somebody has asked anew meanwhile
    const socket = new WebSocket(`${this.http.url.replace(/^http/, "ws")}/v1/ws`, protocols);
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#closed(code);
  }

  /** @param {string} text one frame; only while `ready`. */
  send(text) {
    this.#socket?.send(text);
  }

  /** Cut the connection on purpose and come back after so many milliseconds. @param {number} ms */
  drop(ms) {
    this.#detach();
    this.#plan("dropped", ms, undefined);
  }

  /** @param {string} text */
  #receive(text) {
    this.#heardAt = performance.now();
    const frame = JSON.parse(text);
    if (frame.type === "welcome") {
      this.#heartbeatMs = frame.heartbeat_ms;
      this.#openedAt = this.#heardAt;
      this.reconnects += 1;
      this.#change({ name: "open" });
      this.handlers.opened(frame);
    } else if (frame.type === "goaway") {
      this.#returnMs = frame.reconnect_after_ms;
      this.#change({ name: "draining" });
    } else if (frame.type !== "heartbeat") {
      this.handlers.received(frame, text);
    }
  }

  /** There is no ticket. @param {Problem} problem */
  #refused(problem) {
    if (problem.retryable) this.#again(1006, problem.retry_after_ms ?? 0);
    else this.#change({ name: "refused", code: CODES.get(problem.status) ?? 4400 });
  }

  /** @param {number} code */
  #closed(code) {
    this.#detach();
    if (code >= 4400 && code < 4500) {
      if (code === 4401) this.http.unauthenticated(UNAUTHENTICATED);
      this.#change({ name: "refused", code });
    } else {
      this.#again(code, 0);
    }
  }

  /** @param {number} code @param {number} leastMs */
  #again(code, leastMs) {
    if (performance.now() - this.#openedAt > STABLE_MS) this.#attempt = 0;
    this.#plan("waiting", this.#returnMs ?? leastMs + backoff(this.#attempt), code);
    this.#attempt += 1;
    this.#returnMs = null;
  }

  /** @param {"waiting"|"dropped"} name @param {number} ms @param {number|undefined} code */
  #plan(name, ms, code) {
    clearTimeout(this.#timer);
    this.#change({ name, until: performance.now() + ms, code });
    this.#timer = setTimeout(() => this.retry(), ms);
  }

  /** Let go of the socket: what it still says is not heard. */
  #detach() {
    this.#turn += 1;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onmessage = socket.onclose = null;
    socket.close();
    if (this.ready) this.handlers.lost();
  }

  /** A half-open connection says nothing, not even that it is closed. */
  #check() {
    const silence = performance.now() - this.#heardAt;
    if (this.ready && silence > this.#heartbeatMs * MISSED_HEARTBEATS) this.#closed(1006);
  }

  /** @param {LinkState} state */
  #change(state) {
    this.#state = state;
    this.handlers.changed(state);
  }
}
