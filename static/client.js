/** The client of a service. */

import { Http } from "./client/http.js";
import { Socket } from "./client/socket.js";

/**
 * Asks one service. Tells by events: `unauthenticated` when a request or the socket was refused for
 * want of a key that holds (`detail` is the problem), `link` when the state of the socket changes.
 */
export class Client extends EventTarget {
  /**
   * @param {string} url the service's address, without a path.
   * @param {object} [options]
   * @param {string} [options.key] the client key: sent with every request, and changed into a
   *   ticket for every connection of the socket.
   */
  constructor(url, { key = "" } = {}) {
    super();
    this.http = new Http(url, {
      key,
      unauthenticated: (problem) => this.#tell("unauthenticated", problem),
    });
    this.socket = new Socket(this.http, (state) => this.#tell("link", state));
  }

  /** The client key, "" for none. */
  get key() {
    return this.http.key;
  }

  /** Another key, for whatever is asked from now on; a socket that was refused is opened anew. */
  set key(key) {
    this.http.key = key;
    if (this.socket.link.state.name === "refused") this.socket.link.retry();
  }

  /** @param {string} name @param {unknown} detail */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
