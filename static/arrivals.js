/** When the pieces of an answer came: a fixed number of bins over a time that grows. */

const BINS = 180;
const FIRST_BIN_MS = 8;

/**
 * Counts arrivals in constant memory: when time runs out of bins, neighbours are merged and each bin
 * is twice as long. So a second and an hour are both drawn from the same few numbers.
 */
export class Arrivals {
  counts = new Uint32Array(BINS);
  binMs = FIRST_BIN_MS;
  lastMs = 0;
  /** Where the connection was lost and came back, in milliseconds. @type {number[]} */
  marks = [];

  /** @param {number} ms since the run was created. */
  add(ms) {
    this.lastMs = Math.max(this.lastMs, ms);
    this.#reach(ms);
    this.counts[Math.floor(ms / this.binMs)] += 1;
  }

  /** Remember a place where the connection was lost. */
  mark() {
    this.marks.push(this.lastMs);
  }

  /**
   * What to draw.
   *
   * @param {number} untilMs the right edge.
   * @returns {{counts: Uint32Array, share: number}} the bins in use; the last one may reach over
   *   the edge: all of them together are `share` times as long as `untilMs`.
   */
  upTo(untilMs) {
    const end = Math.max(untilMs, this.lastMs, 1);
    this.#reach(end);
    const used = Math.floor(end / this.binMs) + 1;
    return { counts: this.counts.subarray(0, used), share: (used * this.binMs) / end };
  }

  /** @param {number} ms */
  #reach(ms) {
    while (ms >= this.binMs * BINS) {
      const merged = new Uint32Array(BINS);
      for (let bin = 0; bin < BINS; bin += 1) merged[bin >> 1] += this.counts[bin];
      this.counts = merged;
      this.binMs *= 2;
    }
  }
}
