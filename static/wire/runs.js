/** The runs that the service has, over HTTP. */

/** @import {RunLine} from "../types.js" */

import { service } from "../service.js";

/**
 * @param {{state: string, recipe: string, limit: number}} choice "" = any.
 * @returns {Promise<{runs: RunLine[], total: number, complete?: boolean}>} newest first.
 */
export function runs({ state, recipe, limit }) {
  const query = new URLSearchParams({ limit: String(limit) });
  if (state) query.set("state", state);
  if (recipe) query.set("recipe", recipe);
  return service.http.call("GET", `/v1/runs?${query}`);
}
