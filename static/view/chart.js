/** A small chart of one or two lines over the last minutes, with its figures in words. */

/** @import {Point} from "./trends.js" */

import { make, setText } from "./element.js";
import { NONE } from "./figures.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 64;

/**
 * @typedef {object} Line
 * @property {string} name of the value in a point.
 * @property {string} word what it is called.
 */

/**
 * @typedef {object} About
 * @property {string} title
 * @property {string} hint what is counted, in a sentence.
 * @property {Line[]} lines the first one is filled, the second one dashed.
 * @property {(value: number|null) => string} format
 * @property {number} least the top of the scale at least.
 */

export class Chart {
  /** @param {About} about @param {number} spanMs */
  constructor(about, spanMs) {
    this.about = about;
    this.spanMs = spanMs;
    this.values = about.lines.map(() => make("dd"));
    this.top = make("span", { class: "chart-top", "aria-hidden": "true" });
    this.area = shape("path", "area");
    this.paths = about.lines.map((_, place) => shape("path", `line line-${place}`));
    this.svg = shape("svg", "chart-lines");
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("role", "img");
    this.svg.append(this.area, ...this.paths);
    const words = about.lines.map(({ word }, place) =>
      make("div", { class: `key key-${place}` }, make("dt", {}, word), this.values[place])); // prettier-ignore
    this.note = make("p", { class: "chart-note" }, about.hint);
    this.element = make("figure", { class: "chart" },
      make("figcaption", {}, make("h3", {}, about.title), make("dl", { class: "keys" }, ...words)),
      make("div", { class: "chart-field" }, this.top, this.svg),
      make("div", { class: "chart-span", "aria-hidden": "true" }, make("span", {}, `${this.#minutes} min ago`), make("span", {}, "now")),
      this.note); // prettier-ignore
  }

  get #minutes() {
    return Math.round(this.spanMs / 60_000);
  }

  /** @param {Point[]} points oldest first. @param {string} note what else there is to say. */
  paint(points, note) {
    const { lines, format, least, hint, title } = this.about;
    const last = points[points.length - 1];
    const all = lines.flatMap(({ name }) => points.map(({ values }) => values[name] ?? 0));
    const highest = Math.max(...all, 0);
    const top = ceiling(Math.max(highest, least));
    setText(this.top, format(top));
    lines.forEach(({ name }, place) => {
      setText(this.values[place], last ? format(last.values[name]) : NONE);
      this.paths[place].setAttribute("d", trace(this.#runs(points, name, top), false));
    });
    this.area.setAttribute("d", trace(this.#runs(points, lines[0].name, top), true));
    const said = lines.map(({ name, word }) => `${word} ${last ? format(last.values[name]) : NONE}`);
    this.svg.setAttribute("aria-label", `${title} over the last ${this.#minutes} minutes. Now: ${said.join(", ")}. Highest: ${format(highest)}.`);
    setText(this.note, note || hint);
  }

  /** Stretches without a hole, as coordinates. @param {Point[]} points @param {string} name @param {number} top @returns {[number, number][][]} */
  #runs(points, name, top) {
    const end = points.length ? points[points.length - 1].at : 0;
    /** @type {[number, number][][]} */ const runs = [];
    let open = false;
    for (const { at, broken, values } of points) {
      const value = values[name];
      if (value == null) {
        open = false;
        continue;
      }
      if (!open || broken) runs.push([]);
      open = true;
      const x = WIDTH * (1 - (end - at) / this.spanMs);
      runs[runs.length - 1].push([x, HEIGHT - 1 - (value / top) * (HEIGHT - 2)]);
    }
    return runs;
  }
}

/** @param {[number, number][][]} runs @param {boolean} filled */
function trace(runs, filled) {
  return runs.map((run) => {
    const way = run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
    const from = run[0][0].toFixed(1);
    if (run.length === 1) way.push(`${(run[0][0] + 1).toFixed(1)} ${run[0][1].toFixed(1)}`); // one point is a dot
    const to = way[way.length - 1].split(" ")[0];
    return filled ? `M${from} ${HEIGHT}L${way.join("L")}L${to} ${HEIGHT}Z` : `M${way.join("L")}`;
  }).join(""); // prettier-ignore
}

/** The next round number: 1, 2 or 5 with zeros. @param {number} value */
export function ceiling(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * ([1, 2, 5, 10].find((times) => times * unit >= value * 0.999_999) ?? 10);
}

/** @param {string} tag @param {string} name */
function shape(tag, name) {
  const element = document.createElementNS(SVG, tag);
  element.setAttribute("class", name);
  return element;
}
