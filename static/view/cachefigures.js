/** The figures above the entries of the cache. What the backend cannot tell is left out. */

/** @import {CacheStatistics} from "../types.js" */

import { make } from "./element.js";
import { money, percent, size, whole } from "./figures.js";

/** @typedef {{word: string, value: string, title: string}} Figure */

/**
 * @param {HTMLElement} list a `dl`.
 * @param {CacheStatistics} statistics
 * @param {number|null} total entries that the list has, where it is of all; some backends do not
 *   count for the process.
 */
export function showFigures(list, statistics, total) {
  const shown = figures({ ...statistics, entries: statistics.entries ?? total });
  list.replaceChildren(
    ...shown.map(({ word, value, title }) => make("div", { title }, make("dt", {}, word), make("dd", {}, value))),
  );
}

/** @param {CacheStatistics} statistics @returns {Figure[]} */
function figures({ hit_rate, hits, stale, misses, faults, entries, bytes, evictions, tokens_saved, cost_saved, restored }) {
  const given = hits + stale;
  const asked = given + misses;
  /** @type {Figure[]} */ const shown = [];
  const add = (/** @type {string} */ word, /** @type {string} */ value, /** @type {string} */ title) =>
    shown.push({ word, value, title });
  add("hit rate", asked ? percent(hit_rate) : "nobody has asked yet", `${given} of ${asked} requests since the service was started`);
  add("hits", whole(given), stale ? `${stale} of them stale, while computed anew` : "Answers given again");
  add("saved", `${whole(tokens_saved)} tokens`, "Of requests and answers, as the models had reported them");
  if (cost_saved) add("cost saved", money(cost_saved), "Of the same requests, by the prices in cache.prices and in their currency");
  if (restored) add("restored", whole(restored), "Answers found in the history, from before a restart");
  if (entries !== null) add("entries", whole(entries), "Kept now");
  if (bytes !== null) add("size", size(bytes), "Of all entries");
  if (evictions !== null) add("evictions", whole(evictions), "Entries that had to make room");
  if (faults) add("faults", whole(faults), "Times the cache could not be reached");
  return shown;
}
