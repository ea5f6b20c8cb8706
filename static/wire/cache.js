/** The service's cache over HTTP: look, drop, invalidate, compute anew. */

/** @import {CachePage} from "../types.js" */

import { service } from "../service.js";

/** @typedef {"recipe"|"model"|"template"|"tag"} CacheKind what entries can have in common. */

/** @param {CacheKind|"all"} kind @param {string} value @param {{limit: number, skip?: number}} page @returns {Promise<CachePage>} */
export function entries(kind, value, { limit, skip = 0 }) {
  const query = new URLSearchParams({ limit: String(limit), skip: String(skip) });
  if (kind !== "all") query.set(kind, value);
  return service.http.call("GET", `/v1/cache?${query}`);
}

/** @param {string} key @returns {Promise<{dropped: number}>} */
export function drop(key) {
  return service.http.call("DELETE", `/v1/cache/${encodeURIComponent(key)}`);
}

/** @param {CacheKind|"all"} kind @param {string} value @returns {Promise<{dropped: number}>} */
export function invalidate(kind, value) {
  return service.http.call("POST", "/v1/cache/invalidate", { [kind]: kind === "all" ? true : value });
}

/** Begin to compute an answer anew. @param {string} key @returns {Promise<{id: string}>} the run that does. */
export function refresh(key) {
  const path = `/v1/cache/${encodeURIComponent(key)}/refresh`;
  return service.http.call("POST", path, undefined, { Prefer: "respond-async" });
}
