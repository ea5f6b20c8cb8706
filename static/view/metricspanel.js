/** How the service does: a dialog with live charts. It asks only while it is looked at. */

/** @import {Reading} from "../wire/metrics.js" */
/** @import {Point} from "./trends.js" */

import { metrics, sum } from "../wire/metrics.js";
import { asProblem } from "../wire/problem.js";
import { Chart } from "./chart.js";
import { make } from "./element.js";
import { counted, duration, perSecond, percent, whole } from "./figures.js";
import { Poll } from "./poll.js";
import { Sheet } from "./sheet.js";
import { showPoints } from "./metricstable.js";
import { FAMILIES, Trends, cacheAsked, cacheHits, firstToken } from "./trends.js";

const REFRESH_MS = 2_000;
const SPAN_MS = 300_000;
const WINDOWS = { shortMs: 6_000, longMs: 30_000, gapMs: 4 * REFRESH_MS };

/** @param {number|null} seconds */
const latency = (seconds) => duration(seconds === null ? null : seconds * 1_000);

/** @type {(import("./chart.js").About & {note?: (reading: Reading) => string})[]} */
const CHARTS = [
  { title: "Tokens a second", hint: "Pieces of all answers as models send them", format: perSecond, least: 10,
    lines: [{ name: "pieces", word: "now" }],
    note: (reading) => `Pieces of all answers as they come; since the start ${counted(sum(reading, "llm_stream_tokens_total", { direction: "output" }), "token")} reported` },
  { title: "Runs", hint: "Under way, and waiting for a slot", format: whole, least: 4,
    lines: [{ name: "active", word: "active" }, { name: "queued", word: "queued" }] },
  { title: "First token", hint: "Of runs that ended in the last half minute", format: latency, least: 0.01,
    lines: [{ name: "median", word: "p50" }, { name: "slow", word: "p95" }],
    note: (reading) => `Of runs that ended in 30 s; since the start p50 ${latency(firstToken(reading, 0.5))}, p95 ${latency(firstToken(reading, 0.95))}` },
  { title: "Cache hits", hint: "Share of what was asked in the last half minute", format: percent, least: 1,
    lines: [{ name: "hits", word: "rate" }],
    note: (reading) => `Of what was asked in 30 s; since the start ${whole(cacheHits(reading))} of ${whole(cacheAsked(reading))}` },
  { title: "Failed and cancelled", hint: "Runs a minute that failed or were cancelled", format: perSecond, least: 1,
    lines: [{ name: "failures", word: "failed a minute" }, { name: "cancels", word: "cancelled" }], note: codes },
  { title: "Connections", hint: "WebSockets, and answers that stream over SSE", format: whole, least: 4,
    lines: [{ name: "sockets", word: "sockets" }, { name: "streams", word: "SSE" }] },
]; // prettier-ignore

export class MetricsPanel {
  #trends = new Trends(WINDOWS);
  /** @type {Point[]} */ #points = [];
  #charts = CHARTS.map((about) => new Chart(about, SPAN_MS));

  constructor() {
    this.table = make("table");
    this.details = make("details", { class: "more points" }, make("summary", {}, "The same as a table"),
      make("div", { class: "points-table", tabindex: 0, role: "region", "aria-label": "Figures of the last minutes" }, this.table)); // prettier-ignore
    this.details.addEventListener("toggle", () => this.#paintTable());
    const charts = make("div", { class: "charts" }, ...this.#charts.map(({ element }) => element));
    this.poll = new Poll(REFRESH_MS, () => this.#load());
    this.sheet = new Sheet("metrics", "Metrics", { opened: () => this.poll.start(), closed: () => this.poll.stop() },
      make("div", { class: "sheet-list", tabindex: 0, role: "region", "aria-label": "Charts" }, charts, this.details)); // prettier-ignore
  }

  async #load() {
    try {
      const reading = await metrics(FAMILIES);
      this.#points.push(this.#trends.add(reading, Date.now()));
      while (this.#points[0].at < Date.now() - SPAN_MS) this.#points.shift();
      this.#charts.forEach((chart, place) => chart.paint(this.#points, CHARTS[place].note?.(reading) ?? ""));
      this.#paintTable();
      this.sheet.figures(ended(reading));
      this.sheet.complain("");
    } catch (error) {
      this.sheet.complain(`The figures could not be read. ${words(error)}`);
    }
  }

  #paintTable() {
    if (this.details.open) showPoints(this.table, CHARTS, this.#points);
  }
}

/** @param {Reading} reading @returns {[string, string][]} */
function ended(reading) {
  const runs = (/** @type {string} */ outcome) => whole(sum(reading, "llm_stream_runs_total", { outcome }));
  return [["since the start", ""], ["completed", runs("completed")], ["failed", runs("failed")], ["cancelled", runs("cancelled")]];
}

/** @param {Reading} reading */
function codes(reading) {
  const failed = (reading.get("llm_stream_errors_total") ?? []).filter(({ value }) => value > 0);
  failed.sort((a, b) => b.value - a.value);
  const named = failed.slice(0, 3).map(({ labels, value }) => `${labels.code} ${whole(value)}`);
  return named.length ? `Since the start: ${named.join(", ")}${failed.length > 3 ? ", \u2026" : ""}` : "";
}

/** @param {unknown} error */
function words(error) {
  const { status, title, detail } = asProblem(error);
  if (status === 403) return "They need a client key with the scope \u201cmetrics\u201d.";
  if (status === 404) return "The service does not show them: telemetry.metrics is off.";
  return `${title}. ${detail}`;
}
