/** The service's figures over HTTP: Prometheus' text format, the families that are needed. */

import { service } from "../service.js";

/** @typedef {{labels: Record<string, string>, value: number}} Sample */
/** @typedef {Map<string, Sample[]>} Reading samples by the name of their family. */

const LINE = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)/i;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const ESCAPES = /\\(.)/g;

/**
 * @param {string} text in Prometheus' text format.
 * @param {Set<string>} names of what is wanted.
 * @returns {Reading}
 */
export function parse(text, names) {
  /** @type {Reading} */ const reading = new Map();
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined || !names.has(name)) continue;
    const sample = { labels: labelled(labels), value: Number(value.replace("Inf", "Infinity")) };
    const family = reading.get(name);
    if (family) family.push(sample);
    else reading.set(name, [sample]);
  }
  return reading;
}

/** @param {string} text @returns {Record<string, string>} */
function labelled(text) {
  const found = [...text.matchAll(LABEL)];
  const plain = (/** @type {string} */ value) => value.replace(ESCAPES, (_, char) => (char === "n" ? "\n" : char));
  return Object.fromEntries(found.map(([, name, value]) => [name, plain(value)]));
}

/** @param {Set<string>} names @returns {Promise<Reading>} */
export async function metrics(names) {
  return parse(await (await service.http.response("/metrics")).text(), names);
}

/** The few of them that every key may read: of /health and of the cache. @returns {Promise<Reading>} */
export async function fewer() {
  const [health, { statistics }] = await Promise.all([
    service.http.call("GET", "/health"),
    service.http.call("GET", "/v1/cache?limit=1"),
  ]);
  const one = (/** @type {number} */ value) => [{ labels: {}, value }];
  const events = ["hits", "stale", "misses"].map((event) => ({ labels: { event }, value: statistics[event] }));
  return new Map(Object.entries({
    llm_stream_runs_active: one(health.runs.active),
    llm_stream_runs_queued: one(health.runs.queued),
    llm_stream_sockets: one(health.sockets),
    llm_stream_cache_total: events,
  })); // prettier-ignore
}

/** @param {Reading} reading @param {string} name @param {Record<string, string>} [labels] those it has to have. */
export function sum(reading, name, labels = {}) {
  const wanted = Object.entries(labels);
  return (reading.get(name) ?? [])
    .filter((sample) => wanted.every(([label, value]) => sample.labels[label] === value))
    .reduce((total, { value }) => total + value, 0);
}
