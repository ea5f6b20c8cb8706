/** The options of a request about the cache, as fields of the form. What is left as it is, is not sent. */

import { byId } from "./element.js";

const MODE = "cache-mode";
const PACE = "cache-pace";
const TAGS = "cache-tags";

/** @returns {Record<string, unknown>|undefined} the request's `cache`, undefined = all defaults. */
export function readCache() {
  /** @type {Record<string, unknown>} */ const cache = {};
  const pace = byId(PACE).value;
  const tags = byId(TAGS).value.split(",").map((/** @type {string} */ tag) => tag.trim()).filter(Boolean);
  if (byId(MODE).value) cache.mode = byId(MODE).value;
  if (pace) cache.pace = Number(pace) || pace;
  if (tags.length) cache.tags = tags;
  return Object.keys(cache).length ? cache : undefined;
}

/** @param {{mode?: string, pace?: string|number, tags?: string[]}} [cache] */
export function writeCache({ mode = "", pace = "", tags = [] } = {}) {
  byId(MODE).value = mode;
  byId(PACE).value = String(pace);
  byId(TAGS).value = tags.join(", ");
}
