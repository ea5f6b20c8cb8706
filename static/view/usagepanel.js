/** What was asked and what it has cost: a dialog that groups the account and looks back. */

/** @import {Dimension} from "../wire/usage.js" */

import { asProblem } from "../wire/problem.js";
import { usage } from "../wire/usage.js";
import { byId, make, setText } from "./element.js";
import { counted } from "./figures.js";
import { showTable } from "./usagetable.js";

/** How far to look back, and in words; "" = as far as there are records. @type {[string, string][]} */
const SPANS = [["1h", "in the last hour"], ["24h", "in the last day"], ["7d", "in the last week"], ["30d", "in the last 30 days"], ["", "at any time"]]; // prettier-ignore

/** @type {Dimension[]} */
const DIMENSIONS = ["model", "tier", "recipe", "client"];

/** Modal. Esc closes it, and the focus goes back to what has opened it. */
export class UsagePanel {
  #dialog = byId("usage");
  #form = byId("usage-choice");
  #loads = 0;

  constructor() {
    byId("usage-since").append(...SPANS.map(([value, words]) => make("option", { value, selected: value === "24h" }, words)));
    byId("usage-by").append(
      ...DIMENSIONS.map((value) =>
        make("label", {}, make("input", { type: "checkbox", name: "by", value, checked: value === "model" }), value),
      ),
    );
    byId("usage-open").addEventListener("click", () => this.open());
    byId("usage-close").addEventListener("click", () => this.#dialog.close());
    this.#form.addEventListener("change", () => void this.#load());
    this.#form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.#load();
    });
  }

  open() {
    this.#dialog.showModal();
    void this.#load();
  }

  /** What the form asks for. @returns {{by: Dimension[], since: string}} */
  get #choice() {
    const form = new FormData(this.#form);
    return { by: /** @type {Dimension[]} */ (form.getAll("by")), since: String(form.get("since")) };
  }

  async #load() {
    const load = ++this.#loads;
    const { by, since } = this.#choice;
    try {
      const found = await usage(by, since);
      if (load !== this.#loads) return; // something else has been asked for meanwhile
      const empty = !found.groups.length && !found.total.calls;
      byId("usage-table").hidden = empty;
      byId("usage-empty").hidden = !empty;
      showTable(byId("usage-table"), found);
      this.#note(found);
      this.#complain("");
    } catch (error) {
      if (load !== this.#loads) return;
      const { title, detail } = asProblem(error);
      byId("usage-table").hidden = byId("usage-empty").hidden = true;
      setText(byId("usage-note"), "");
      this.#complain(`The account could not be read. ${title}. ${detail}`);
    }
  }

  /** What the figures leave out. @param {import("../types.js").Usage} found */
  #note({ total, not_recorded }) {
    const notes = [];
    if (total.unpriced_tokens) notes.push(`${counted(total.unpriced_tokens, "token")} of models without a price are in no cost.`);
    if (not_recorded) notes.push(`${counted(not_recorded, "run")} could not be recorded.`);
    setText(byId("usage-note"), notes.join(" "));
  }

  /** @param {string} text what is wrong; "" = nothing. */
  #complain(text) {
    setText(byId("usage-complaint"), text);
    byId("usage-complaint").hidden = !text;
  }
}
