/** Commands on a socket: each has an id, and at most one answer. */

/** @import {Link} from "./link.js" */

import { CONNECTION_LOST, tooLarge } from "./problem.js";

export class Commands {
  /** @type {Map<string, (reply: any) => void>} */ #replies = new Map();
  #count = 0;

  /** Of one frame; the service's welcome says how many. */
  maxBytes = 1_048_576;

  /** Round trip of the last ping in milliseconds. @type {number|null} */
  roundTripMs = null;

  /** @param {Link} link */
  constructor(link) {
    this.link = link;
  }

  /**
   * @param {Record<string, unknown>} frame
   * @param {(reply: any) => void} [answered] told the reply, or one with `lost` and an error if the
   *   connection is lost before.
   */
  send(frame, answered) {
    const id = String(++this.#count);
    const text = JSON.stringify({ ...frame, id });
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > this.maxBytes) {
      answered?.({ error: tooLarge(bytes, this.maxBytes) });
      return;
    }
    if (answered) this.#replies.set(id, answered);
    this.link.send(text);
  }

  /** @param {any} frame a reply or a pong. */
  answered(frame) {
    const answered = this.#replies.get(frame.id);
    this.#replies.delete(frame.id);
    answered?.(frame);
  }

  /** Measure the round trip. */
  ping() {
    if (!this.link.ready) return;
    const sent = performance.now();
    this.send({ type: "ping" }, (pong) => {
      if (pong.type === "pong") this.roundTripMs = performance.now() - sent;
    });
  }

  /** The connection is lost, and what was asked on it. */
  lost() {
    this.roundTripMs = null;
    const unanswered = [...this.#replies.values()];
    this.#replies.clear();
    for (const answered of unanswered) answered({ lost: true, error: CONNECTION_LOST });
  }
}
