/** The two ways to read runs. */

/** @import {LinkState, Order, Sink, Wire} from "./types.js" */
/** @import {Http} from "./http.js" */
/** @import {Patience} from "./patience.js" */

import { CLOSED } from "./problem.js";
import { Socket } from "./socket.js";
import { EventStream } from "./sse.js";

/** A connection a stream. @implements {Wire} */
export class SseWire {
  /** @type {Set<EventStream>} */ #open = new Set();

  /** @param {Http} http */
  constructor(http) {
    this.http = http;
  }

  /** @param {Order} order @param {Sink} sink @param {Patience} patience */
  start(order, sink, patience) {
    return this.#read(new EventStream(this.http, sink, patience, { order }));
  }

  /** @param {string} run @param {string} after @param {Sink} sink @param {Patience} patience */
  follow(run, after, sink, patience) {
    return this.#read(new EventStream(this.http, sink, patience, { run, after }));
  }

  close() {
    for (const stream of this.#open) {
      stream.close();
      stream.sink.refused(CLOSED);
    }
  }

  /** @param {EventStream} stream */
  #read(stream) {
    this.#open.add(stream);
    void stream.follow().finally(() => this.#open.delete(stream));
    return stream;
  }
}

/** One socket for all; a second one while the first is asked to go. @implements {Wire} */
export class SocketWire {
  /** @type {Set<Socket>} */ #old = new Set();

  /**
   * @param {Http} http
   * @param {(state: LinkState) => void} changed
   * @param {{connectMs: number, WebSocket?: typeof globalThis.WebSocket}} options
   */
  constructor(http, changed, options) {
    this.make = () => new Socket(http, changed, options);
    this.socket = this.make();
  }

  /** @param {Order} order @param {Sink} sink @param {Patience} patience */
  start({ recipe, input }, sink, patience) {
    const socket = this.#current();
    return feed(socket, socket.start(recipe, input, sink, patience));
  }

  /** @param {string} run @param {string} after @param {Sink} sink @param {Patience} patience */
  follow(run, after, sink, patience) {
    const socket = this.#current();
    return feed(socket, socket.follow(run, after, sink, patience));
  }

  close() {
    for (const socket of [this.socket, ...this.#old]) socket.close(CLOSED);
    this.#old.clear();
  }

  #current() {
    if (this.socket.link.state.name === "draining") {
      // The service ends it when its streams have ended; nothing new is to begin on it.
      for (const old of this.#old) if (old.link.state.name === "idle") this.#old.delete(old);
      this.#old.add(this.socket);
      this.socket = this.make();
    }
    return this.socket;
  }
}

/** @param {Socket} socket @param {string} name the stream's. */
function feed(socket, name) {
  return {
    pause: () => socket.pause(name),
    resume: (/** @type {string} */ cursor) => socket.resume(name, cursor),
    close: () => socket.leave(name),
    abandon: () => socket.abandon(name),
  };
}
