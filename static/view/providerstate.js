/** What is known of providers and their models, out of what the service says of itself. No page in it. */

/** @import {Reading} from "../wire/metrics.js" */
/** @import {Readiness} from "../wire/health.js" */

import { sum } from "../wire/metrics.js";

const CALLS = "llm_stream_attempts_total";
const BREAKER = "llm_stream_breaker";
const PROVIDER_BREAKER = "llm_stream_provider_breaker";
const PROBES = "llm_stream_probes_total";

/** What has to be read for it. */
export const FAMILIES = new Set([
  CALLS, BREAKER, PROVIDER_BREAKER, PROBES, "llm_stream_calls", "llm_stream_retries_left",
]); // prettier-ignore

/** @typedef {{word: string, tone: "good"|"warn"|"bad"|"", why: string}} Health */
/** @typedef {{id: string, aliases: string[], health: Health, calls: Calls, active: number, waiting: number, retriesLeft: number|null}} ModelFacts */
/** @typedef {{answered: number, failed: [string, number][]}} Calls failed by code, most frequent first. */
/** @typedef {{name: string, mock: boolean, health: Health, probes: Calls, models: ModelFacts[]}} ProviderFacts */

/** @type {Record<string, string>} what a component's name in /readyz means. */
export const COMPONENTS = {
  draining: "the service is shutting down",
  models: "no model can answer: there is none, or each lacks its key",
  weights: "the embedded model could not be loaded",
  default_model: "the default model does not exist",
  redis: "Redis does not take what runs say; they go on in this process",
  cache: "the cache\u2019s Redis fails; requests go on without it",
  history: "the history\u2019s database fails; runs wait to be recorded",
};

/**
 * @param {{data: {id: string, owned_by: string, aliases: string[]}[], mocks: string[]}} catalog
 * @param {Readiness} readiness
 * @param {Reading|null} reading null = nobody may read the figures.
 * @returns {ProviderFacts[]} what needs to be looked at first, then by name.
 */
export function providers({ data, mocks }, { degraded }, reading) {
  /** @type {Map<string, typeof data>} */ const byName = new Map();
  for (const model of data) byName.set(model.owned_by, [...(byName.get(model.owned_by) ?? []), model]);
  for (const model of unlisted(data, reading)) {
    const provider = model.slice(0, model.indexOf("/"));
    if (byName.has(provider)) byName.get(provider)?.push({ id: model, owned_by: provider, aliases: [] });
  }
  const failing = new Set(degraded.filter((name) => name.startsWith("provider:")).map((name) => name.slice(9)));
  const facts = [...byName].map(([name, models]) => {
    const known = models.map(({ id, aliases }) => modelFacts(id, aliases, reading));
    const probes = calls(reading, PROBES, { provider: name });
    const health = providerHealth(name, failing.has(name), known, probes, reading);
    return { name, mock: mocks.includes(name), health, probes, models: known.sort(byUse) };
  });
  return facts.sort((a, b) => weight(b) - weight(a) || a.name.localeCompare(b.name));
}

/** Models that exist only because requests named them. @param {{id: string}[]} data @param {Reading|null} reading */
function unlisted(data, reading) {
  const known = new Set(data.map(({ id }) => id));
  const named = (reading?.get(CALLS) ?? []).map(({ labels }) => labels.model);
  return new Set(named.filter((id) => !known.has(id) && id.includes("/")));
}

/** @param {string} id @param {string[]} aliases @param {Reading|null} reading @returns {ModelFacts} */
function modelFacts(id, aliases, reading) {
  const made = calls(reading, CALLS, { model: id });
  const left = reading?.get("llm_stream_retries_left")?.find(({ labels }) => labels.model === id);
  return {
    id, aliases, calls: made, health: breakerHealth(level(reading, BREAKER, "model", id), made),
    active: reading ? sum(reading, "llm_stream_calls", { model: id, state: "active" }) : 0,
    waiting: reading ? sum(reading, "llm_stream_calls", { model: id, state: "waiting" }) : 0,
    retriesLeft: left ? left.value : null,
  }; // prettier-ignore
}

/** @param {Reading|null} reading @param {string} family @param {Record<string, string>} labels @returns {Calls} */
function calls(reading, family, labels) {
  const [[label, wanted]] = Object.entries(labels);
  const made = (reading?.get(family) ?? []).filter((sample) => sample.labels[label] === wanted && sample.value > 0);
  const failed = made.filter((sample) => sample.labels.code !== "ok").sort((a, b) => b.value - a.value);
  return {
    answered: made.find((sample) => sample.labels.code === "ok")?.value ?? 0,
    failed: failed.map((sample) => [sample.labels.code, sample.value]),
  };
}

/** 0 closed, 1 half-open, 2 open. @param {Reading|null} reading @param {string} family @param {string} label @param {string} value */
function level(reading, family, label, value) {
  return reading?.get(family)?.find(({ labels }) => labels[label] === value)?.value ?? 0;
}

/** @param {string} name @param {boolean} failing @param {ModelFacts[]} models @param {Calls} probes @param {Reading|null} reading @returns {Health} */
function providerHealth(name, failing, models, probes, reading) {
  const breaker = level(reading, PROVIDER_BREAKER, "provider", name);
  if (breaker) return breakerHealth(breaker, { answered: 0, failed: [] });
  if (failing) return { word: "failing", tone: "bad", why: "Calls fail in a row, or the last probe did; none was answered since" };
  const open = models.filter(({ health }) => health.tone === "bad" || health.tone === "warn");
  if (open.length) return { word: "partly failing", tone: "warn", why: `In trouble: ${open.map(({ id }) => id).join(", ")}` };
  if (models.some((model) => model.calls.answered)) return { word: "answering", tone: "good", why: "Calls are answered" };
  if (probes.answered) return { word: "reachable", tone: "good", why: "It answered a probe; nobody has called a model yet" };
  return { word: "not asked yet", tone: "", why: "No call since the service was started" };
}

/** @param {number} breaker @param {Calls} made @returns {Health} */
function breakerHealth(breaker, { answered, failed }) {
  if (breaker === 2) return { word: "left alone", tone: "bad", why: "Its breaker is open: calls failed in a row, and it is not asked for a while" };
  if (breaker === 1) return { word: "on trial", tone: "warn", why: "Its breaker is half-open: one call may try whether it answers again" };
  if (answered) return { word: "answering", tone: "good", why: "Its breaker is closed" };
  if (failed.length) return { word: "no answer yet", tone: "warn", why: "Every call so far has failed" };
  return { word: "not asked yet", tone: "", why: "No call since the service was started" };
}

/** @param {ModelFacts} a @param {ModelFacts} b */
function byUse(a, b) {
  return used(b) - used(a) || Number(b.aliases.includes("default")) - Number(a.aliases.includes("default")) || a.id.localeCompare(b.id);
}

/** How often a model was called. @param {ModelFacts} model */
export function used({ calls: { answered, failed }, active, waiting }) {
  return answered + active + waiting + failed.reduce((total, [, count]) => total + count, 0);
}

/** @param {ProviderFacts} facts */
function weight({ health, models }) {
  return { bad: 3, warn: 2, good: 1, "": 0 }[health.tone] * 2 + Number(models.some((model) => used(model) > 0));
}
