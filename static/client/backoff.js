/** How long to wait before trying again: exponential with full jitter. */

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
