/** What the forms of recipes have in common: fields by name, read without what was left empty. */

import { clone, find } from "./element.js";
import { FormError } from "./formerror.js";

const TITLE_CHARS = 80;

export class Fields {
  /** @param {string} template id of the template @param {string[]} names of its fields */
  constructor(template, names) {
    /** @type {HTMLElement} */
    this.element = clone(template);
    /** @type {Record<string, any>} */
    this.fields = Object.fromEntries(
      names.map((name) => [name, find(this.element, `[data-field=${name}]`)]),
    );
  }

  /** Non-empty lines of a field. @param {string} name @returns {string[]} */
  lines(name) {
    return this.fields[name].value.split("\n").map((/** @type {string} */ line) => line.trim()).filter(Boolean);
  }

  /** Text of a field that must not be empty. @param {string} name @param {string} complaint */
  needed(name, complaint) {
    const field = this.fields[name];
    if (!field.value.trim()) throw new FormError(complaint, field);
    return field.value;
  }

  /** Put numbers that were given into the request. @param {Record<string, unknown>} input @param {...string} names */
  numbers(input, ...names) {
    for (const name of names) if (this.fields[name].value) input[name] = Number(this.fields[name].value);
  }

  /** @param {Record<string, any>} input @param {...string} names */
  show(input, ...names) {
    for (const name of names) this.fields[name].value = input[name] ?? "";
  }
}

/** The first words of a text. @param {string} text */
export function titled(text) {
  return text.split(/\s+/).join(" ").trim().slice(0, TITLE_CHARS);
}
