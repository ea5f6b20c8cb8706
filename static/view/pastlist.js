/** The part of the list of runs that comes out of the history, a page at a time. */

/** @import {PastLine} from "../types.js" */

import { pastRuns, recorded } from "../wire/history.js";
import { asProblem } from "../wire/problem.js";
import { make, setText } from "./element.js";
import { RunRow } from "./runrow.js";

/** States that a run of the past can have. */
const ENDED = new Set(["", "completed", "failed", "cancelled"]);

export class PastList {
  /** @type {Map<string, RunRow>} what has been read, by id. */ #rows = new Map();
  /** @type {string|null} */ #before = null;
  /** Which list is wanted; what was asked for another one is not shown. */ #wanted = 0;
  #live = new Set();
  /** What is being read now is for that list. */ #reading = 0;

  /**
   * @param {() => {state: string, recipe: string}} choice which runs; "" = all.
   * @param {(id: string) => void} open
   */
  constructor(choice, open) {
    this.choice = choice;
    this.open = open;
    this.list = make("ul", { class: "entries", "aria-labelledby": "past-title" });
    this.more = make("button", { type: "button", class: "small", onclick: () => void this.#read() });
    this.told = make("p", { class: "quiet past-told", role: "status" });
    this.element = make("section", { class: "past", "aria-labelledby": "past-title", tabindex: -1, hidden: true },
      make("h3", { class: "past-title", id: "past-title" }, "From the history"), this.list, this.told, this.more); // prettier-ignore
  }

  /** Begin anew, for the runs that are chosen now; nothing is read before somebody asks. */
  async begin() {
    const wanted = ++this.#wanted;
    this.#rows.clear();
    this.#before = null;
    this.list.replaceChildren();
    this.#say("", "Older runs, from the history");
    this.element.hidden = true;
    if (!ENDED.has(this.choice().state)) return;
    try {
      if (!(await recorded())) return;
    } catch {
      return; // the list above says what is wrong with the service
    }
    if (wanted === this.#wanted) this.element.hidden = false;
  }

  /** Runs that are listed above are not listed twice. @param {Set<string>} ids */
  hide(ids) {
    this.#live = ids;
    for (const [id, { element }] of this.#rows) element.hidden = ids.has(id);
  }

  /** Read on until there is something to show. */
  async #read() {
    const wanted = this.#wanted;
    if (this.#reading === wanted) return;
    this.#reading = wanted;
    try {
      let shown = false;
      do {
        const { runs, next } = await pastRuns({ ...this.choice(), before: this.#before });
        if (wanted !== this.#wanted) return;
        this.#before = next;
        shown = runs.map((line) => this.#add(line)).includes(true);
      } while (!shown && this.#before);
      this.#say(this.#before ? "" : this.#ending(), this.#before ? "More from the history" : "");
    } catch (error) {
      if (wanted !== this.#wanted) return;
      const { title, detail } = asProblem(error);
      this.#say(`The history could not be read. ${title}. ${detail}`, "Try again");
    } finally {
      if (this.#reading === wanted) this.#reading = 0;
    }
  }

  #ending() {
    const any = [...this.#rows.values()].some(({ element }) => !element.hidden);
    return any ? "The history has no older ones." : "The history has no other ones.";
  }

  /** @param {PastLine} line @returns {boolean} whether it is seen. */
  #add(line) {
    const row = new RunRow(line, () => this.open(line.id), { past: true });
    row.element.hidden = this.#live.has(line.id);
    this.#rows.set(line.id, row);
    this.list.append(row.element);
    return !row.element.hidden;
  }

  /** @param {string} told @param {string} next what the button says; "" = there is no more to read. */
  #say(told, next) {
    setText(this.told, told);
    // A focus that vanishes would send people who use the keyboard back to the start.
    if (!next && this.more === document.activeElement) this.element.focus();
    this.more.hidden = !next;
    setText(this.more, next);
  }
}
