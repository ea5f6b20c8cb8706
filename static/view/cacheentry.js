/** One entry of the cache as a row. */

/** @import {CacheEntry} from "../types.js" */

import { make } from "./element.js";
import { duration, size, span, whole } from "./figures.js";

/** Digits of a key that are shown; the command line shows as many. */
const KEY_DIGITS = 12;

/**
 * @param {CacheEntry} entry
 * @param {(name: "drop"|"refresh", button: HTMLButtonElement) => void} act
 * @returns {HTMLElement}
 */
export function entryRow(entry, act) {
  const title = entry.title || "(no title)";
  const button = (/** @type {"drop"|"refresh"} */ name, /** @type {string} */ text) =>
    make("button", { type: "button", class: "small", "data-act": name, "aria-label": `${text}: ${title}`,
      onclick: (event) => act(name, event.currentTarget) }, text); // prettier-ignore
  const chip = (/** @type {string} */ text, /** @type {string} */ about) =>
    make("li", { class: "chip", title: about }, text);
  return make("li", { class: "entry", "data-key": entry.key },
    make("h3", { class: "entry-title", title }, title),
    make("ul", { class: "chips" },
      chip(entry.recipe, "Recipe"),
      chip(entry.model, "Model"),
      ...(entry.template ? [chip(entry.template.split("@")[0], `Template ${entry.template}`)] : []),
      ...entry.tags.map((tag) => chip(`#${tag}`, "Tag"))),
    make("p", { class: "entry-facts" }, facts(entry), " \u00b7 ", make("span", { class: "mono", title: entry.key }, entry.key.slice(0, KEY_DIGITS))),
    make("div", { class: "entry-acts" }, button("refresh", "Compute anew"), button("drop", "Drop"))); // prettier-ignore
}

/** @param {CacheEntry} entry */
function facts({ age_seconds, ttl_seconds, bytes, usage, saves_ms }) {
  const left = ttl_seconds < 0 ? `stale for ${span(-ttl_seconds)}` : `${span(ttl_seconds)} left`;
  const { input_tokens, output_tokens } = usage ?? {};
  const reported = input_tokens != null || output_tokens != null;
  const tokens = reported ? `${whole((input_tokens ?? 0) + (output_tokens ?? 0))} tokens, ` : "";
  return `${span(age_seconds)} old, ${left} \u00b7 ${size(bytes)} \u00b7 saves ${tokens}${duration(saves_ms)}`;
}
