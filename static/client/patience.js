/** How long to try again, and how to wait: exponential with full jitter. */

const BASE_MS = 250;
const CAP_MS = 10_000;

/**
 * Anything from nothing to the cap, so that a thousand clients that were cut off at the same
 * moment do not come back at the same moment.
 *
 * @param {number} attempt counts from 0.
 * @returns {number} milliseconds.
 */
export function backoff(attempt) {
  return Math.random() * Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 16));
}

/** Says how long to wait between attempts, and when nothing has come of them for too long. */
export class Patience {
  /** @type {number|null} */ #failingSince = null;
  #attempt = 0;

  /** @param {number} ms how long attempts may fail, counted from the last that did not; 0: try once. */
  constructor(ms) {
    this.ms = ms;
  }

  /** Something has arrived: begin to count anew. */
  progressed() {
    this.#failingSince = null;
    this.#attempt = 0;
  }

  /** An attempt has failed. Whether there may be another in so many milliseconds. @param {number} ms */
  lasts(ms) {
    const now = performance.now();
    this.#failingSince ??= now;
    return now + ms - this.#failingSince < this.ms;
  }

  /**
   * An attempt has failed.
   *
   * @param {number} leastMs what the service has advised.
   * @returns {number|null} milliseconds to wait before the next; null: give up.
   */
  pause(leastMs) {
    const ms = leastMs + backoff(this.#attempt);
    this.#attempt += 1;
    return this.lasts(ms) ? ms : null;
  }
}
