/** A verdict as it is made: criteria one by one, their quotes in the document, the arithmetic. */

/** @import {Run} from "../run.js" */

import { make } from "./element.js";

const POINTS = { met: 1, partial: 0.5, unmet: 0 };
const WORDS = { met: "met", partial: "partly", unmet: "unmet", not_applicable: "does not apply" };

export class VerdictView {
  element = make("div", { class: "judged" });
  #sum = make("p", { class: "sum", hidden: true });
  #list = make("ol", { class: "criteria" });
  #documents = make("div", { class: "documents" });
  #shown = 0;
  /** @type {unknown} */ #items = null;
  #ended = false;

  constructor() {
    this.element.append(this.#sum, this.#list, this.#documents);
    for (const [type, on] of /** @type {[string, boolean][]} */ ([
      ["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false],
    ])) {
      this.#list.addEventListener(type, (/** @type {Event} */ event) => this.#light(event, on));
    }
  }

  /** @param {Run} run */
  paint(run) {
    if (run.items !== this.#items) {
      this.#items = run.items;
      this.#shown = 0;
      this.#list.replaceChildren();
    }
    if (this.#shown < run.items.length) {
      for (; this.#shown < run.items.length; this.#shown += 1) this.#add(run.items[this.#shown]);
      this.#paintDocuments(run);
    }
    if (run.state === "completed" && !this.#ended) {
      this.#ended = true;
      this.#paintSum(run.terminal.result);
    }
  }

  /** @param {{path: string, value: any}} item */
  #add({ path, value }) {
    const row = make(
      "li",
      { "data-criterion": value.id, "data-place": path.split("/")[1], tabindex: "0" },
      make("span", { class: `rating ${value.rating}` }, WORDS[/** @type {keyof typeof WORDS} */ (value.rating)]),
      make("strong", {}, value.title),
      value.required ? make("span", { class: "quiet" }, " required") : "",
      make("p", {}, value.reason),
      ...value.evidence.map((/** @type {any} */ quote) => make("q", { title: quote.source }, quote.quote)),
      ...value.missing.map((/** @type {any} */ gap) =>
        make("p", { class: "gap" }, `Missing: ${gap.what}. Next: ${gap.next_action}`),
      ),
    );
    // Criteria end in any order and are shown in the caller's.
    const place = Number(row.dataset.place);
    const after = [...this.#list.children].find((other) => Number(other.dataset.place) > place);
    this.#list.insertBefore(row, after ?? null);
  }

  /** The documents with every verified quote marked. @param {Run} run */
  #paintDocuments(run) {
    const documents = /** @type {any} */ (run.input)?.documents ?? [];
    const quotes = run.items.flatMap(({ value }) =>
      value.evidence.map((/** @type {any} */ quote) => ({ ...quote, criterion: value.id })),
    );
    this.#documents.replaceChildren(
      ...documents.map((/** @type {any} */ document) =>
        make(
          "details",
          { open: documents.length === 1 },
          make("summary", {}, document.id),
          make("pre", {}, ...marked([...document.text], quotes.filter(({ source }) => source === document.id))),
        ),
      ),
    );
  }

  /** @param {any} result */
  #paintSum(result) {
    const counted = result.criteria.filter((/** @type {any} */ c) => c.score !== null);
    const terms = counted.map((/** @type {any} */ c) => `${c.weight} × ${c.score ?? POINTS[/** @type {keyof typeof POINTS} */ (c.rating)]}`);
    const weights = counted.reduce((/** @type {number} */ sum, /** @type {any} */ c) => sum + c.weight, 0);
    const score = result.score === null ? "no criterion applies" : `(${terms.join(" + ")}) / ${weights} = ${result.score.toFixed(2)}, needed ${result.threshold}`;
    const blocked = result.blocking.length ? ` Required and unmet: ${result.blocking.join(", ")}.` : "";
    const dropped = result.checks.dropped_quotes;
    const lost = dropped ? ` ${dropped} quote${dropped > 1 ? "s" : ""} dropped: not in the documents.` : "";
    this.#sum.replaceChildren(make("strong", { class: result.verdict }, result.verdict), ` ${score}.${blocked}${lost}`);
    this.#sum.hidden = false;
  }

  /** @param {Event} event @param {boolean} on */
  #light(event, on) {
    const row = /** @type {HTMLElement} */ (event.target).closest("[data-criterion]");
    if (!(row instanceof HTMLElement)) return;
    for (const mark of this.#documents.querySelectorAll("mark")) {
      if (mark.dataset.criterion === row.dataset.criterion) mark.classList.toggle("lit", on);
    }
  }
}

/**
 * A text with ranges marked; where they overlap the first one is. Positions are code points.
 * @param {string[]} points @param {{start: number, end: number, criterion: string}[]} quotes
 * @returns {(Node|string)[]}
 */
function marked(points, quotes) {
  const nodes = [];
  let at = 0;
  for (const { start, end, criterion } of [...quotes].sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    nodes.push(points.slice(at, start).join(""));
    nodes.push(make("mark", { "data-criterion": criterion }, points.slice(start, end).join("")));
    at = end;
  }
  nodes.push(points.slice(at).join(""));
  return nodes;
}
