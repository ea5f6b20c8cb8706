/** Rates and shares out of readings of counters, one after the other. No page in it. */

/** @import {Reading} from "../wire/metrics.js" */

import { sum } from "../wire/metrics.js";

const FIRST = "llm_stream_first_token_seconds_bucket";
const START = "process_start_time_seconds";

/** What has to be read for it. */
export const FAMILIES = new Set([
  FIRST, START, "llm_stream_chunks_total", "llm_stream_chunks_live", "llm_stream_tokens_total",
  "llm_stream_runs_active", "llm_stream_runs_queued", "llm_stream_cache_total", "llm_stream_runs_total",
  "llm_stream_errors_total", "llm_stream_sockets", "llm_stream_streams", "llm_stream_readers",
]); // prettier-ignore

/**
 * @typedef {object} Point what was at one moment; null = nothing has happened that could be measured.
 * @property {number} at milliseconds.
 * @property {boolean} broken whether nothing is known of the time before it.
 * @property {Record<string, number|null>} values
 */

/**
 * The readings of the last while. Counters are compared with the reading of some seconds ago;
 * shares, latencies and failures, of which there are few, with the oldest one.
 */
export class Trends {
  /** @type {{at: number, reading: Reading}[]} */ #readings = [];

  /** @param {{shortMs: number, longMs: number, gapMs: number}} windows `gapMs`: longer without a reading is a gap. */
  constructor({ shortMs, longMs, gapMs }) {
    this.shortMs = shortMs;
    this.longMs = longMs;
    this.gapMs = gapMs;
  }

  /** @param {Reading} reading @param {number} at @returns {Point} */
  add(reading, at) {
    const last = this.#readings[this.#readings.length - 1];
    // Another process has other counters: this one was restarted, or a worker beside it has answered.
    const broken = !last || at - last.at > this.gapMs || sum(last.reading, START) !== sum(reading, START);
    if (broken) this.#readings = [];
    this.#readings.push({ at, reading });
    while (this.#readings.length > 1 && this.#readings[1].at <= at - this.longMs) this.#readings.shift();
    return { at, broken, values: this.#values(reading, at) };
  }

  /** @param {Reading} now @param {number} at */
  #values(now, at) {
    const short = this.#readings.find((one) => one.at >= at - this.shortMs) ?? this.#readings[0];
    const long = this.#readings[0];
    const rate = (/** @type {(reading: Reading) => number} */ count, /** @type {typeof long} */ then) =>
      at > then.at ? (Math.max(0, count(now) - count(then.reading)) * 1_000) / (at - then.at) : null;
    const buckets = difference(now, long.reading);
    const asked = cacheAsked(now) - cacheAsked(long.reading);
    const figures = {
      pieces: rate(pieces, short),
      active: sum(now, "llm_stream_runs_active"),
      queued: sum(now, "llm_stream_runs_queued"),
      median: quantile(buckets, 0.5),
      slow: quantile(buckets, 0.95),
      hits: asked > 0 ? (cacheHits(now) - cacheHits(long.reading)) / asked : null,
      failures: minutely(rate((reading) => sum(reading, "llm_stream_errors_total"), long)),
      cancels: minutely(rate((reading) => sum(reading, "llm_stream_runs_total", { outcome: "cancelled" }), long)),
      sockets: sum(now, "llm_stream_sockets"),
      streams: sum(now, "llm_stream_streams"),
    };
    return whole(now) ? figures : { ...figures, pieces: null, failures: null, cancels: null, streams: null };
  }
}

/** Whether it has all there is; what every key may read has not. @param {Reading} reading */
export function whole(reading) {
  return reading.has("llm_stream_chunks_total");
}

/** @param {number|null} rate */
function minutely(rate) {
  return rate === null ? null : rate * 60;
}

/** Pieces of answers, those of answers under way included. @param {Reading} reading */
function pieces(reading) {
  return sum(reading, "llm_stream_chunks_total") + sum(reading, "llm_stream_chunks_live");
}

/** @param {Reading} reading */
export function cacheHits(reading) {
  return sum(reading, "llm_stream_cache_total", { event: "hits" }) + sum(reading, "llm_stream_cache_total", { event: "stale" });
}

/** @param {Reading} reading */
export function cacheAsked(reading) {
  return cacheHits(reading) + sum(reading, "llm_stream_cache_total", { event: "misses" });
}

/** Observations of first tokens by the bound of their bucket. @param {Reading} reading @returns {Map<number, number>} */
function bounds(reading) {
  const found = new Map();
  for (const { labels, value } of reading.get(FIRST) ?? []) {
    const bound = Number(labels.le.replace("Inf", "Infinity"));
    found.set(bound, (found.get(bound) ?? 0) + value);
  }
  return found;
}

/** @param {Reading} now @param {Reading} then */
function difference(now, then) {
  const before = bounds(then);
  return new Map([...bounds(now)].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

/**
 * Where a share of all observations lies, within its bucket in proportion, as Prometheus has it.
 *
 * @param {Map<number, number>} buckets counts up to each bound.
 * @param {number} share 0 to 1.
 * @returns {number|null} null = there are none.
 */
export function quantile(buckets, share) {
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const total = sorted.length ? sorted[sorted.length - 1][1] : 0;
  if (total <= 0) return null;
  let [lower, below] = [0, 0];
  for (const [bound, count] of sorted) {
    if (count >= share * total) {
      return bound === Infinity ? lower : lower + ((bound - lower) * (share * total - below)) / (count - below);
    }
    [lower, below] = [bound, count];
  }
  return lower;
}

/** The same since the service was started. @param {Reading} reading @param {number} share */
export function firstToken(reading, share) {
  return quantile(bounds(reading), share);
}
