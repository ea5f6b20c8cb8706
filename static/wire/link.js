/** One WebSocket that comes back by itself. Knows when to return, not what is said. */

/** @import {LinkState} from "../types.js" */

import { backoff } from "./backoff.js";

const PROTOCOL = "llm-stream.v1";
const STABLE_MS = 5_000; // a connection that lasted so long starts the back-off anew
const CHECK_MS = 1_000;
const MISSED_HEARTBEATS = 2.5;

/**
 * Keeps a socket open. Close codes 44xx mean "not again unchanged": then it stays closed until
 * `retry`. After anything else it reconnects; a `goaway` says when.
 */
export class Link {
  /** @type {WebSocket|null} */ #socket = null;
  /** @type {LinkState} */ #state = { name: "connecting" };
  #attempt = 0;
  #timer = 0;
  #openedAt = 0;
  #heardAt = 0;
  #heartbeatMs = 15_000;
  /** @type {number|null} */ #returnMs = null;

  /** Connections after the first that reached their welcome. */
  reconnects = -1;

  /**
   * @param {string} url
   * @param {object} handlers
   * @param {(welcome: any) => void} handlers.opened the service has said welcome.
   * @param {(frame: any, text: string) => void} handlers.received any other frame.
   * @param {() => void} handlers.lost called once for each `opened`.
   * @param {(state: LinkState) => void} handlers.changed
   */
  constructor(url, handlers) {
    this.url = url;
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
    const socket = new WebSocket(this.url, PROTOCOL);
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

  /** @param {number} code */
  #closed(code) {
    this.#detach();
    if (code >= 4400 && code < 4500) {
      this.#change({ name: "refused", code });
      return;
    }
    if (performance.now() - this.#openedAt > STABLE_MS) this.#attempt = 0;
    this.#plan("waiting", this.#returnMs ?? backoff(this.#attempt), code);
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
