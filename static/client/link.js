/** One WebSocket that comes back by itself. Knows when to return, not what is said. */

/** @import {LinkState, Problem} from "./types.js" */
/** @import {Http} from "./http.js" */

import { backoff } from "./patience.js";
import { asProblem, closedFor, unexpected, unreachable } from "./problem.js";

const PROTOCOL = "llm-stream.v1";
const STABLE_MS = 5_000; // a connection that lasted so long starts the back-off anew
const CHECK_MS = 1_000;
const MISSED_HEARTBEATS = 2.5;

/** The close code of a status with which a ticket is refused. */
const CODES = new Map([[401, 4401], [403, 4403], [421, 4403]]); // prettier-ignore

/**
 * @typedef {object} LinkHandlers
 * @property {(welcome: any) => void} opened the service has said welcome.
 * @property {(frame: any, text: string) => void} received any other frame.
 * @property {() => void} heard the service lives, and has nothing to say.
 * @property {() => void} lost called once for each `opened`.
 * @property {(problem: Problem, ms: number) => void} failed there is no connection; the next attempt is
 *   in so many milliseconds, if there is still somebody who wants one.
 * @property {(problem: Problem) => void} refused there will be none until `retry`.
 * @property {() => boolean} wanted whether anybody wants a connection.
 * @property {(state: LinkState) => void} changed
 */

/**
 * Keeps a socket open. Close codes 44xx mean "not again unchanged": then it stays closed until
 * `retry`. After anything else it reconnects; a `goaway` says when.
 */
export class Link {
  /** @type {WebSocket|null} */ #socket = null;
  /** @type {LinkState} */ #state = { name: "idle" };
  #attempt = 0;
  /** Rises with every attempt, and when one is given up. */ #turn = 0;
  /** @type {ReturnType<typeof setTimeout>|undefined} */ #timer;
  /** @type {ReturnType<typeof setInterval>|undefined} */ #checking;
  #openedAt = 0;
  #heardAt = 0;
  /** How long it may be silent now. */ #patientMs = 0;
  /** Whether the last attempt ended before its welcome: why is told to no page, and to HTTP. */ #unwelcome = false;
  /** @type {number|null} */ #returnMs = null;
  #online = () => this.#state.name === "waiting" && this.retry();

  /** Connections after the first that reached their welcome. */
  reconnects = -1;

  /**
   * @param {Http} http
   * @param {LinkHandlers} handlers
   * @param {object} options
   * @param {number} options.connectMs how long it may take until the service says welcome.
   * @param {typeof globalThis.WebSocket} [options.WebSocket] where the platform has none.
   */
  constructor(http, handlers, options) {
    this.http = http;
    this.handlers = handlers;
    this.connectMs = options.connectMs;
    this.make = options.WebSocket ?? globalThis.WebSocket;
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
    this.#unplan();
    this.#detach();
    this.#change({ name: "connecting" });
    void this.#connect();
  }

  /** Let go, and stay away until `retry`. */
  close() {
    this.#unplan();
    this.#detach();
    this.#change({ name: "idle" });
  }

  /** Open a socket; a key is changed into a ticket before. */
  async #connect() {
    const turn = ++this.#turn;
    const protocols = [PROTOCOL];
    try {
      if (this.http.needsTicket || this.#unwelcome) protocols.push(await this.http.ticket());
    } catch (error) {
      const problem = asProblem(error);
      if (turn !== this.#turn) return;
      if (this.http.needsTicket || CODES.has(problem.status)) {
        this.#unticketed(problem);
        return;
      }
    }
    if (turn !== this.#turn) return; // somebody has asked anew meanwhile
    const socket = new this.make(`${this.http.url.replace(/^http/, "ws")}/v1/ws`, protocols);
    this.#socket = socket;
    this.#unwelcome = true;
    this.#heardAt = performance.now();
    this.#patientMs = this.connectMs;
    this.#checking = setInterval(() => this.#check(), Math.min(CHECK_MS, this.connectMs));
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    socket.onerror = () => this.#closed(1006, ""); // Node 20 says no more when it cannot connect
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
    const frame = decoded(text);
    if (frame === null || (this.#unwelcome && frame.type !== "welcome")) {
      this.#detach();
      this.#refused(unexpected("What was said on the socket is not its protocol."), 4400);
      return;
    }
    if (frame.type === "welcome") {
      this.#patientMs = frame.heartbeat_ms * MISSED_HEARTBEATS;
      this.#unwelcome = false;
      this.#openedAt = this.#heardAt;
      this.reconnects += 1;
      this.#change({ name: "open" });
      this.handlers.opened(frame);
    } else if (frame.type === "goaway") {
      this.#returnMs = frame.reconnect_after_ms ?? null;
      this.#change({ name: "draining" });
    } else if (frame.type === "heartbeat") {
      this.handlers.heard();
    } else {
      this.handlers.received(frame, text);
    }
  }

  /** There is no ticket. @param {Problem} problem */
  #unticketed(problem) {
    if (problem.retryable) this.#again(problem, undefined);
    else this.#refused(problem, CODES.get(problem.status) ?? 4400);
  }

  /** @param {number} code @param {string} reason the code of an error, if there is one. */
  #closed(code, reason) {
    this.#detach();
    if (code < 4400 || code >= 4500) {
      this.#again(unreachable(`The socket was closed with ${code}.`), code);
      return;
    }
    const problem = closedFor(code, reason);
    if (problem.status === 401) this.http.unauthenticated(problem);
    this.#refused(problem, code);
  }

  /** @param {Problem} problem @param {number} code */
  #refused(problem, code) {
    this.#change({ name: "refused", code });
    this.handlers.refused(problem);
  }

  /** @param {Problem} problem @param {number|undefined} code */
  #again(problem, code) {
    if (performance.now() - this.#openedAt > STABLE_MS) this.#attempt = 0;
    const ms = this.#returnMs ?? (problem.retry_after_ms ?? 0) + backoff(this.#attempt);
    this.#attempt += 1;
    this.#returnMs = null;
    this.#plan("waiting", ms, code);
    this.handlers.failed(problem, ms);
    if (this.handlers.wanted()) return;
    this.#unplan();
    this.#change({ name: "idle" });
  }

  /** @param {"waiting"|"dropped"} name @param {number} ms @param {number|undefined} code */
  #plan(name, ms, code) {
    this.#unplan();
    this.#change({ name, until: performance.now() + ms, code });
    this.#timer = setTimeout(() => this.retry(), ms);
    globalThis.addEventListener?.("online", this.#online);
  }

  #unplan() {
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.("online", this.#online);
  }

  /** Let go of the socket: what it still says is not heard. */
  #detach() {
    this.#turn += 1;
    clearInterval(this.#checking);
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
    if (this.ready) this.handlers.lost();
  }

  /** A half-open connection says nothing, not even that it is closed. */
  #check() {
    if (performance.now() - this.#heardAt > this.#patientMs) this.#closed(1006, "");
  }

  /** @param {LinkState} state */
  #change(state) {
    this.#state = state;
    this.handlers.changed(state);
  }
}

/** @param {string} text @returns {any} a JSON object; null for anything else. */
function decoded(text) {
  try {
    const frame = JSON.parse(text);
    return typeof frame === "object" ? frame : null;
  } catch {
    return null;
  }
}
