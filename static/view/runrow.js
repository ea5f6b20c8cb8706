/** One run of the service's list. */

/** @import {PastLine, RunLine} from "../types.js" */

import { make, setText } from "./element.js";
import { counted, duration, span } from "./figures.js";

/** @type {Record<string, string>} the tone of a state's chip; the word says it as well. */
const TONES = { queued: "", running: "good", completed: "state", cancelled: "warn", failed: "bad" };

/** A row that stays where it is while what it says changes: the focus is not lost. */
export class RunRow {
  /**
   * @param {RunLine|PastLine} line
   * @param {(name: string, line: RunLine) => void} act
   * @param {{past?: boolean}} [where] past: it is out of the history.
   */
  constructor(line, act, { past = false } = {}) {
    this.line = /** @type {RunLine} */ (line);
    const { template, tags = [] } = this.line;
    const titled = `${past ? "past" : "line"}-${line.id}`; // a run may be in both parts of the list
    const button = (/** @type {string} */ name, /** @type {string} */ text) =>
      make("button", { type: "button", class: "small", "data-act": name, onclick: () => act(name, this.line) }, text);
    this.state = make("li");
    this.model = make("li", { class: "chip" });
    this.facts = make("p", { class: "entry-facts" });
    this.cancel = button("cancel", "Cancel");
    this.title = make("h3", { class: "entry-title", id: titled });
    const link = make("a", { class: "small button", href: `/#run=${line.id}`, target: "_blank", rel: "noopener",
      title: "The permalink of this run, in a second tab" }, "2nd tab"); // prettier-ignore
    this.element = make("li", { class: "entry", "data-run": line.id, "aria-labelledby": titled },
      this.title,
      make("ul", { class: "chips", "aria-label": "State" }, this.state, make("li", { class: "chip" }, line.recipe), this.model,
        ...(template ? [make("li", { class: "chip" }, template.split("@")[0])] : []),
        ...tags.map((tag) => make("li", { class: "chip" }, `#${tag}`)),
        ...(past ? [make("li", { class: "chip" }, "from the history")] : [])),
      this.facts,
      make("div", { class: "entry-acts" }, this.cancel, button("open", "Open"), link)); // prettier-ignore
    this.show(this.line);
  }

  /** @param {RunLine} line */
  show(line) {
    this.line = line;
    const { title, state, model, id } = line;
    setText(this.title, title || id);
    this.title.title = title;
    setText(this.state, state);
    this.state.className = `chip ${TONES[state] ?? ""}`;
    this.element.dataset.state = state;
    setText(this.model, model);
    this.model.hidden = !model;
    setText(this.facts, facts(line));
    this.cancel.hidden = state !== "running" && state !== "queued";
  }
}

/** @param {RunLine} line */
function facts({ created_at, statistics, id }) {
  const said = [ago(created_at)];
  const { first_token_ms, total_ms, output_tokens, chunks, readers, attempts } = statistics;
  if (total_ms != null) said.push(duration(total_ms));
  if (first_token_ms != null) said.push(`first token ${duration(first_token_ms)}`);
  if (output_tokens != null) said.push(counted(output_tokens, "token"));
  else if (chunks) said.push(counted(chunks, "piece"));
  if (attempts > 1) said.push(counted(attempts, "attempt"));
  if (readers) said.push(counted(readers, "reader"));
  return [...said, id].join(" \u00b7 ");
}

/** @param {string} time */
function ago(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1_000;
  return seconds < 2 ? "just now" : `${span(seconds)} ago`;
}
