/** What the page asks the service for besides runs. */

/** @import {Catalog} from "../types.js" */

import { service } from "../service.js";

/** @returns {Promise<Catalog>} the models and templates there are. */
export async function catalog() {
  const asked = ["/v1/models", "/v1/templates"].map((path) => service.http.call("GET", path));
  const [models, templates] = await Promise.all(asked);
  const { data, aliases, mocks } = models;
  const faults = mocks.length ? await service.http.call("GET", "/static/faults.json") : [];
  return { models: data, aliases, mocks, faults, templates: templates.templates };
}

/** @param {string} run @returns {Promise<any>} what the service knows of the run. */
export function snapshot(run) {
  return service.http.call("GET", `/v1/runs/${encodeURIComponent(run)}`);
}

/** @param {string} run @returns {Promise<{state: string, shared: boolean}>} */
export function cancel(run) {
  return service.http.call("POST", `/v1/runs/${encodeURIComponent(run)}/cancel`);
}
