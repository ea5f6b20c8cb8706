/** Plain HTTP to the service: JSON in, JSON out, every failure a problem. */

/** @import {Catalog} from "../types.js" */

import { ProblemError, problemOf } from "./problem.js";

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>} the decoded JSON.
 * @throws {ProblemError} the service refused; `TypeError`: it could not be reached.
 */
export async function request(path, init) {
  const response = await fetch(path, init);
  if (!response.ok) throw new ProblemError(await problemOf(response));
  return response.json();
}

/** @returns {Promise<Catalog>} the models and templates there are. */
export async function catalog() {
  const [models, templates] = await Promise.all([request("/v1/models"), request("/v1/templates")]);
  const { data, aliases, mocks } = models;
  const faults = mocks.length ? await request("/static/faults.json") : [];
  return { models: data, aliases, mocks, faults, templates: templates.templates };
}

/** @param {string} run @returns {Promise<any>} what the service knows of the run. */
export function snapshot(run) {
  return request(`/v1/runs/${encodeURIComponent(run)}`);
}

/** @param {string} run @returns {Promise<{state: string, shared: boolean}>} */
export function cancel(run) {
  return request(`/v1/runs/${encodeURIComponent(run)}/cancel`, { method: "POST" });
}
