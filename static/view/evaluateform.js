/** The fields of the recipe `evaluate`. */

import { Fields, titled } from "./fields.js";

export class EvaluateForm {
  #fields = new Fields("evaluate-template", ["stage_name", "criteria", "document", "threshold", "samples"]);
  /** What a request had beside the fields, kept when it is put back. @type {Record<string, any>} */ #rest = {};
  element = this.#fields.element;
  first = this.#fields.fields.stage_name;

  modelChosen() {}

  read() {
    const stage = this.#fields.needed("stage_name", "Name the stage.");
    /** @type {Record<string, any>} */
    const input = { ...this.#rest, stage_name: stage };
    const known = new Map((this.#rest.criteria ?? []).map((/** @type {any} */ c) => [line(c), c]));
    const lines = this.#fields.lines("criteria");
    input.criteria = lines.map((text, place) => known.get(text) ?? criterion(text, place));
    const text = this.#fields.needed("document", "Give a document to judge by.");
    input.documents = [{ id: this.#rest.documents?.[0]?.id ?? "document", text }];
    this.#fields.numbers(input, "threshold", "samples");
    return { input, title: titled(stage) };
  }

  /** @param {any} input */
  write(input) {
    const { model: _model, options: _options, cache: _cache, ...rest } = input;
    this.#rest = rest;
    this.#fields.show(input, "stage_name", "threshold", "samples");
    this.#fields.fields.criteria.value = (input.criteria ?? []).map(line).join("\n");
    this.#fields.fields.document.value = input.documents?.[0]?.text ?? "";
  }
}

/** A criterion as a line. @param {any} given */
function line(given) {
  return typeof given === "string" ? given : `${given.required ? "! " : ""}${given.title}`;
}

/** A line as a criterion. @param {string} text @param {number} place */
function criterion(text, place) {
  const required = text.startsWith("!");
  return { id: `c${place + 1}`, title: text.replace(/^!\s*/, ""), required };
}
