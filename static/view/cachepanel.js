/** What the cache keeps: a dialog that lists it, drops from it and has answers computed anew. */

/** @import {CacheEntry, CacheStatistics} from "../types.js" */
/** @import {CacheKind} from "../wire/cache.js" */

import * as cache from "../wire/cache.js";
import { asProblem } from "../wire/problem.js";
import { entryRow } from "./cacheentry.js";
import { showFigures } from "./cachefigures.js";
import { byId, make, setText } from "./element.js";
import { whole } from "./figures.js";

const PAGE = 50;
const LONGEST_PAGE = 1_000; // the service gives no more at once

/**
 * @typedef {object} CacheHandlers
 * @property {(statistics: CacheStatistics) => void} counted what the cache has counted, newly read.
 * @property {(id: string, title: string) => Promise<string>} follow shows a run; resolves to its
 *   state once it is over.
 */

/** Modal. Esc closes it, and the focus goes back to what has opened it. */
export class CachePanel {
  #dialog = byId("cache");
  #list = byId("cache-entries");
  #kindField = byId("cache-kind");
  #nameField = byId("cache-name");
  #invalidateButton = byId("cache-invalidate");
  /** @type {Map<string, CacheEntry>} what is shown, by key. */ #shown = new Map();
  /** What the list is of. @type {{kind: CacheKind|"all", name: string}} */ #choice = { kind: "all", name: "" };
  #total = 0;
  #loads = 0;

  /** @param {CacheHandlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    byId("cache-open").addEventListener("click", () => this.open());
    byId("cache-close").addEventListener("click", () => this.#dialog.close());
    byId("cache-more").addEventListener("click", () => void this.#load(true));
    this.#kindField.addEventListener("change", () => this.#kindChosen());
    this.#nameField.addEventListener("input", () => this.#disarm());
    byId("cache-choice").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      if (this.#choose()) void this.#load();
    });
    this.#invalidateButton.addEventListener("click", () => void this.#invalidate());
    this.#invalidateButton.addEventListener("blur", () => this.#disarm());
  }

  open() {
    this.#dialog.showModal();
    this.#tell("");
    void this.#load();
  }

  #kindChosen() {
    const named = this.#kindField.value !== "all";
    byId("cache-name-field").hidden = byId("cache-show").hidden = !named;
    const word = this.#kindField.value;
    setText(byId("cache-name-label"), word[0].toUpperCase() + word.slice(1));
    this.#nameField.value = "";
    const names = [...this.#shown.values()].flatMap((entry) => namesOf(entry, word));
    byId("cache-names").replaceChildren(...[...new Set(names)].map((name) => make("option", { value: name })));
    this.#disarm();
    if (named) this.#nameField.focus();
    else if (this.#choose()) void this.#load();
  }

  /** What the form names. */
  get #named() {
    return { kind: this.#kindField.value, name: this.#nameField.value.trim() };
  }

  /** Be about what the form names. @returns {boolean} false = it names nothing. */
  #choose() {
    const { kind, name } = this.#named;
    if (kind !== "all" && !name) {
      this.#complain(`Name a ${kind}.`);
      this.#nameField.focus();
      return false;
    }
    this.#choice = { kind, name };
    this.#tell("");
    return true;
  }

  /** @param {boolean} [more] append the next ones instead of beginning anew. */
  async #load(more = false) {
    const load = ++this.#loads;
    const { kind, name } = this.#choice;
    try {
      const skip = more ? this.#shown.size : 0;
      // Each page doubles what is shown, so that the last of many entries is not many presses away.
      const limit = Math.min(Math.max(skip, PAGE), LONGEST_PAGE);
      const { entries, total, statistics } = await cache.entries(kind, name, { limit, skip });
      if (load !== this.#loads) return; // something else has been asked for meanwhile
      if (!more) this.#clear();
      for (const entry of entries) this.#append(entry);
      this.#count(total, statistics);
      // Buttons that had the focus are gone; it stays in the dialog.
      if (this.#dialog.open && !this.#dialog.contains(document.activeElement)) byId("cache-list").focus();
    } catch (error) {
      if (load === this.#loads) this.#failed("The cache could not be read.", error);
    }
  }

  #clear() {
    this.#shown.clear();
    this.#list.replaceChildren();
  }

  /** @param {CacheEntry} entry */
  #append(entry) {
    if (this.#shown.has(entry.key)) return;
    this.#shown.set(entry.key, entry);
    this.#list.append(entryRow(entry, (name, button) =>
      void (name === "drop" ? this.#drop(entry, button) : this.#refresh(entry, button)))); // prettier-ignore
  }

  /** @param {number} total @param {CacheStatistics} statistics */
  #count(total, statistics) {
    this.#total = total;
    this.handlers.counted(statistics);
    const { kind, name } = this.#choice;
    showFigures(byId("cache-numbers"), statistics, kind === "all" ? total : null);
    const shown = this.#shown.size;
    const left = this.#total - shown;
    byId("cache-more").hidden = left <= 0;
    setText(byId("cache-more"), `More: ${whole(left)} left`);
    byId("cache-empty").hidden = shown > 0;
    setText(byId("cache-empty"), kind === "all"
      ? "The cache is empty. An answer is kept when its run is completed."
      : `No entry has the ${kind} \u201c${name}\u201d.`); // prettier-ignore
    this.#disarm();
  }

  /** @param {CacheEntry} entry @param {HTMLButtonElement} button */
  async #drop(entry, button) {
    button.disabled = true;
    const { kind, name } = this.#choice;
    try {
      await cache.drop(entry.key);
      this.#tell(`Dropped \u201c${entry.title}\u201d.`);
      this.#forget(entry.key);
      const { total, statistics } = await cache.entries(kind, name, { limit: 1 });
      this.#count(total, statistics);
    } catch (error) {
      this.#failed("Not dropped.", error);
      await this.#load();
    }
  }

  /** Take a row away; its neighbour gets the focus. @param {string} key */
  #forget(key) {
    const rows = [...this.#list.children];
    const place = rows.findIndex((row) => row.dataset.key === key);
    this.#shown.delete(key);
    rows[place]?.remove();
    const neighbour = rows[place + 1] ?? rows[place - 1];
    if (!this.#dialog.contains(document.activeElement)) (neighbour?.querySelector("[data-act=drop]") ?? byId("cache-close")).focus();
  }

  /** @param {CacheEntry} entry @param {HTMLButtonElement} button */
  async #refresh(entry, button) {
    button.disabled = true;
    setText(button, "Computing");
    try {
      const { id } = await cache.refresh(entry.key);
      const state = await this.handlers.follow(id, entry.title);
      if (state === "completed") this.#tell(`Computed \u201c${entry.title}\u201d anew.`);
      else this.#complain(`\u201c${entry.title}\u201d was not computed anew: its run is ${state}. The entry stays.`);
    } catch (error) {
      this.#failed("Not computed anew.", error);
    }
    await this.#load();
  }

  async #invalidate() {
    if (!this.#choose()) return;
    const { kind, name } = this.#choice;
    if (kind === "all" && this.#total && !this.#invalidateButton.dataset.armed) {
      this.#invalidateButton.dataset.armed = "true";
      setText(this.#invalidateButton, `Really drop all ${whole(this.#total)}`);
      return;
    }
    try {
      const { dropped } = await cache.invalidate(kind, name);
      this.#tell(`Dropped ${whole(dropped)} ${dropped === 1 ? "entry" : "entries"}.`);
    } catch (error) {
      this.#failed("Not invalidated.", error);
    }
    await this.#load();
  }

  #disarm() {
    delete this.#invalidateButton.dataset.armed;
    const { kind, name } = this.#named;
    const shown = kind === this.#choice.kind && name === this.#choice.name;
    const which = kind === "all" ? " all" : " these";
    setText(this.#invalidateButton, `Invalidate${which}${shown ? ` (${whole(this.#total)})` : ""}`);
  }

  /** @param {string} words @param {unknown} error */
  #failed(words, error) {
    const { title, detail } = asProblem(error);
    this.#complain(`${words} ${title}. ${detail}`);
  }

  /** @param {string} text what is wrong; "" = nothing. */
  #complain(text) {
    setText(byId("cache-complaint"), text);
    byId("cache-complaint").hidden = !text;
    if (text) setText(byId("cache-told"), "");
  }

  /** @param {string} text */
  #tell(text) {
    this.#complain("");
    setText(byId("cache-told"), text);
  }
}

/** What an entry is called by. @param {CacheEntry} entry @param {string} kind */
function namesOf(entry, kind) {
  if (kind === "tag") return entry.tags;
  const name = { model: entry.model, recipe: entry.recipe, template: entry.template?.split("@")[0] }[kind];
  return name ? [name] : [];
}
