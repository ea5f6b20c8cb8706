/** Runs of the past, over HTTP. */

/** @import {PastLine, PastSnapshot} from "../types.js" */

import { service } from "../service.js";

/** @returns {Promise<boolean>} whether the service keeps any. */
export async function recorded() {
  return Boolean((await service.http.call("GET", "/health")).history);
}

/**
 * @param {{state: string, recipe: string, before: string|null}} choice "" = any; `before` is `next` of a page.
 * @returns {Promise<{runs: PastLine[], next: string|null}>} newest first.
 */
export function pastRuns({ state, recipe, before }) {
  const query = new URLSearchParams();
  if (state) query.set("state", state);
  if (recipe) query.set("recipe", recipe);
  if (before) query.set("before", before);
  return service.http.call("GET", `/v1/history?${query}`);
}

/** @param {string} run @returns {Promise<PastSnapshot>} what is recorded of it. */
export function pastRun(run) {
  return service.http.call("GET", `/v1/history/${encodeURIComponent(run)}`);
}
