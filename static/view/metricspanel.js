/** How the service does: a dialog with live charts. It asks only while it is looked at. */

/** @import {Reading} from "../wire/metrics.js" */
/** @import {Point} from "./trends.js" */

import { fewer, metrics, sum } from "../wire/metrics.js";
import { asProblem } from "../wire/problem.js";
import { Chart } from "./chart.js";
import { make, setText } from "./element.js";
import { counted, duration, perSecond, percent, whole as figure } from "./figures.js";
import { Poll } from "./poll.js";
import { Sheet } from "./sheet.js";
import { showPoints } from "./metricstable.js";
import { FAMILIES, Trends, cacheAsked, cacheHits, firstToken, whole } from "./trends.js";

const REFRESH_MS = 2_000;
const SPAN_MS = 300_000;
const WINDOWS = { shortMs: 6_000, longMs: 30_000, gapMs: 4 * REFRESH_MS };

/** @param {number|null} seconds */
const latency = (seconds) => duration(seconds === null ? null : seconds * 1_000);

/** Why the service does not show them all, by its status. @type {Record<number, string>} */
const LACKS = {
  403: "Tokens, latencies and failures need a client key with the scope \u201cmetrics\u201d.",
  404: "The service does not show tokens, latencies and failures: telemetry.metrics is off.",
};

/** `open`: every key may read it. @type {(import("./chart.js").About & {open?: boolean, note?: (reading: Reading) => string})[]} */
const CHARTS = [
  { title: "Tokens a second", hint: "Pieces of all answers as models send them", format: perSecond, least: 10,
    lines: [{ name: "pieces", word: "now" }],
    note: (reading) => `Pieces of all answers as they come; since the start ${counted(sum(reading, "llm_stream_tokens_total", { direction: "output" }), "token")} reported` },
  { title: "Runs", open: true, hint: "Under way, and waiting for a slot", format: figure, least: 4,
    lines: [{ name: "active", word: "active" }, { name: "queued", word: "queued" }] },
  { title: "First token", hint: "Of runs that ended in the last half minute", format: latency, least: 0.01,
    lines: [{ name: "median", word: "p50" }, { name: "slow", word: "p95" }],
    note: (reading) => `Of runs that ended in 30 s; since the start p50 ${latency(firstToken(reading, 0.5))}, p95 ${latency(firstToken(reading, 0.95))}` },
  { title: "Cache hits", open: true, hint: "Share of what was asked in the last half minute", format: percent, least: 1,
    lines: [{ name: "hits", word: "rate" }],
    note: (reading) => `Of what was asked in 30 s; since the start ${figure(cacheHits(reading))} of ${figure(cacheAsked(reading))}` },
  { title: "Failed and cancelled", hint: "Runs a minute that failed or were cancelled", format: perSecond, least: 1,
    lines: [{ name: "failures", word: "failed a minute" }, { name: "cancels", word: "cancelled" }], note: codes },
  { title: "Connections", open: true, hint: "WebSockets, and answers that stream over SSE", format: figure, least: 4,
    lines: [{ name: "sockets", word: "sockets" }, { name: "streams", word: "SSE" }] },
]; // prettier-ignore

export class MetricsPanel {
  #trends = new Trends(WINDOWS);
  /** @type {Point[]} */ #points = [];
  /** Why only what every key may read is shown, "" = all is. */ #lacks = "";
  #charts = CHARTS.map((about) => new Chart(about, SPAN_MS));

  constructor() {
    this.table = make("table");
    this.details = make("details", { class: "more points" }, make("summary", {}, "The same as a table"),
      make("div", { class: "points-table", tabindex: 0, role: "region", "aria-label": "Figures of the last minutes" }, this.table)); // prettier-ignore
    this.details.addEventListener("toggle", () => this.#paintTable());
    this.note = make("p", { class: "told", role: "status" });
    const charts = make("div", { class: "charts" }, ...this.#charts.map(({ element }) => element));
    this.poll = new Poll(REFRESH_MS, () => this.#load());
    this.sheet = new Sheet("metrics", "Metrics", { opened: () => this.#opened(), closed: () => this.poll.stop() },
      this.note, make("div", { class: "sheet-list", tabindex: 0, role: "region", "aria-label": "Charts" }, charts, this.details)); // prettier-ignore
  }

  #opened() {
    this.#lacks = ""; // somebody else may be signed in by now
    this.poll.start();
  }

  async #load() {
    try {
      const reading = await this.#read();
      this.#points.push(this.#trends.add(reading, Date.now()));
      while (this.#points[0].at < Date.now() - SPAN_MS) this.#points.shift();
      this.#charts.forEach((chart, place) => {
        chart.paint(this.#points, CHARTS[place].note?.(reading) ?? "");
        chart.element.hidden = !whole(reading) && !CHARTS[place].open;
      });
      this.#paintTable();
      this.sheet.figures(whole(reading) ? ended(reading) : []);
      setText(this.note, this.#lacks);
      this.sheet.complain("");
    } catch (error) {
      const { title, detail } = asProblem(error);
      this.sheet.complain(`The figures could not be read. ${title}. ${detail}`);
    }
  }

  async #read() {
    if (this.#lacks) return fewer();
    try {
      return await metrics(FAMILIES);
    } catch (error) {
      this.#lacks = LACKS[asProblem(error).status] ?? "";
      if (!this.#lacks) throw error;
      return fewer();
    }
  }

  #paintTable() {
    if (this.details.open) showPoints(this.table, CHARTS, this.#points);
  }
}

/** @param {Reading} reading @returns {[string, string][]} */
function ended(reading) {
  const runs = (/** @type {string} */ outcome) => figure(sum(reading, "llm_stream_runs_total", { outcome }));
  return [["since the start", ""], ["completed", runs("completed")], ["failed", runs("failed")], ["cancelled", runs("cancelled")]];
}

/** @param {Reading} reading */
function codes(reading) {
  const failed = (reading.get("llm_stream_errors_total") ?? []).filter(({ value }) => value > 0);
  failed.sort((a, b) => b.value - a.value);
  const named = failed.slice(0, 3).map(({ labels, value }) => `${labels.code} ${figure(value)}`);
  return named.length ? `Since the start: ${named.join(", ")}${failed.length > 3 ? ", \u2026" : ""}` : "";
}
