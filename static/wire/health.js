/** How the service and its providers are, over HTTP. */

import { service } from "../service.js";
import { ProblemError } from "./problem.js";

/** @typedef {{ready: boolean, missing: string[], degraded: string[]}} Readiness */

/** @returns {Promise<Readiness>} */
export async function readiness() {
  // 503 is an answer here, not a failure.
  const response = await fetch(`${service.http.url}/readyz`, { signal: AbortSignal.timeout(10_000) });
  const told = await response.json();
  if (typeof told.ready !== "boolean") throw new ProblemError(told);
  return told;
}

/** @returns {Promise<{data: {id: string, owned_by: string, aliases: string[], is_default: boolean}[], mocks: string[], faults: {plugin: string, error: string}[]}>} */
export function models() {
  return service.http.call("GET", "/v1/models");
}
