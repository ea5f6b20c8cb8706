/** The runs of the service: a dialog that lists them, opens and cancels them. */

/** @import {RunLine} from "../types.js" */

import * as api from "../wire/api.js";
import { asProblem } from "../wire/problem.js";
import { runs } from "../wire/runs.js";
import { make, setText } from "./element.js";
import { whole } from "./figures.js";
import { PastList } from "./pastlist.js";
import { Poll } from "./poll.js";
import { RunRow } from "./runrow.js";
import { Sheet } from "./sheet.js";

const REFRESH_MS = 2_000;
const PAGE = 50;
const LONGEST_PAGE = 1_000; // the service gives no more at once

const STATES = ["queued", "running", "completed", "failed", "cancelled"];
const KINDS = ["generate", "evaluate", "breakdown", "reason", "batch"];

export class RunsPanel {
  /** @type {Map<string, RunRow>} what is shown, by id. */ #rows = new Map();
  #limit = PAGE;
  #loads = 0;
  /** Whether the part below is for what is chosen. */ #begun = false;

  /** @param {{open: (id: string) => void, recall: (id: string) => void}} handlers put a run on the page, out of the history too. */
  constructor({ open, recall }) {
    this.open = open;
    this.past = new PastList(
      () => ({ state: this.state.value, recipe: this.recipe.value }),
      (id) => {
        this.sheet.close();
        recall(id);
      },
    );
    this.state = choice("state", "in any state", STATES);
    this.recipe = choice("recipe", "of any recipe", KINDS);
    this.list = make("ul", { class: "entries" });
    this.empty = make("p", { class: "quiet", hidden: true });
    this.more = make("button", { type: "button", class: "small", hidden: true, onclick: () => this.#showMore() });
    this.told = make("p", { class: "told", role: "status" });
    const form = make("form", { class: "sheet-choice", "aria-label": "Which runs", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
      make("label", { class: "field" }, make("span", {}, "Runs"), this.state),
      make("label", { class: "field" }, make("span", {}, "Recipe"), this.recipe)); // prettier-ignore
    form.addEventListener("change", () => this.#chosen());
    this.scroll = make("div", { class: "sheet-list", tabindex: 0, role: "region", "aria-label": "Runs of the service" },
      this.list, this.empty, this.more, this.past.element); // prettier-ignore
    this.poll = new Poll(REFRESH_MS, () => this.#load());
    this.sheet = new Sheet("runs", "Runs", { opened: () => this.#opened(), closed: () => this.poll.stop() },
      form, this.told, this.scroll); // prettier-ignore
  }

  #opened() {
    this.#limit = PAGE;
    this.#begun = false;
    setText(this.told, "");
    this.poll.start();
  }

  #chosen() {
    this.#limit = PAGE;
    this.#begun = false;
    this.scroll.scrollTop = 0;
    void this.#load();
  }

  #showMore() {
    this.#limit = Math.min(this.#limit * 4, LONGEST_PAGE);
    this.scroll.focus();
    void this.#load();
  }

  async #load() {
    const load = ++this.#loads;
    try {
      const found = await runs({ state: this.state.value, recipe: this.recipe.value, limit: this.#limit });
      if (load !== this.#loads) return; // something else has been asked for meanwhile
      this.#show(found.runs);
      this.#count(found);
      this.past.hide(new Set(this.#rows.keys()));
      if (!this.#begun) void this.past.begin();
      this.#begun = true;
      this.sheet.complain("");
    } catch (error) {
      if (load !== this.#loads) return;
      const { title, detail } = asProblem(error);
      this.sheet.complain(`The runs could not be listed. ${title}. ${detail}`);
    }
  }

  /** Make the list what was found; rows that stay are kept. @param {RunLine[]} lines newest first. */
  #show(lines) {
    const ids = new Set(lines.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      if (row.element.contains(document.activeElement)) this.scroll.focus();
      row.element.remove();
      this.#rows.delete(id);
    }
    lines.forEach((line, place) => {
      let row = this.#rows.get(line.id);
      if (row) row.show(line);
      else this.#rows.set(line.id, (row = new RunRow(line, (name, of) => this.#act(name, of))));
      const there = this.list.children[place] ?? null;
      if (row.element !== there) this.list.insertBefore(row.element, there);
    });
  }

  /** @param {{runs: RunLine[], total: number, complete?: boolean}} found */
  #count({ runs, total, complete = true }) {
    const left = total - runs.length;
    this.more.hidden = left <= 0 || this.#limit >= LONGEST_PAGE;
    setText(this.more, `More: ${whole(left)} left`);
    this.sheet.figures([["kept", `${whole(total)}${complete ? "" : " and more"}`]]);
    this.empty.hidden = runs.length > 0;
    const any = !this.state.value && !this.recipe.value;
    setText(this.empty, any ? "The service has no runs. It keeps them for a while after their end." : "No such run.");
  }

  /** @param {string} name @param {RunLine} line */
  #act(name, line) {
    if (name === "open") {
      this.sheet.close();
      this.open(line.id);
    } else void this.#cancel(line);
  }

  /** @param {RunLine} line */
  async #cancel({ id, title }) {
    try {
      const { shared } = await api.cancel(id);
      setText(this.told, shared ? `Others still want \u201c${title}\u201d; it goes on.` : `Cancelled \u201c${title}\u201d.`);
    } catch (error) {
      const problem = asProblem(error);
      setText(this.told, `Not cancelled. ${problem.title}. ${problem.detail}`);
    }
    await this.#load();
  }
}

/** @param {string} name @param {string} any @param {string[]} values */
function choice(name, any, values) {
  const options = values.map((value) => make("option", { value }, value));
  return make("select", { name, id: `runs-${name}` }, make("option", { value: "" }, any), ...options);
}
