/** The fields of the recipe `generate`: a template with its variables, or a prompt as it is. */

/** @import {Catalog, Model, Template} from "../types.js" */

import { clone, find, make, setText } from "./element.js";
import { FormError } from "./formerror.js";

const TITLE_CHARS = 80;

export class GenerateForm {
  /** @type {HTMLElement} */ element = clone("generate-template");
  /** @type {Map<string, any>} the fields of the template's variables. */ #variables = new Map();
  /** @type {Map<string, Template>} */ #templates;
  #supportsSchema = true;

  /** @param {Catalog} catalog */
  constructor(catalog) {
    const field = (/** @type {string} */ name) => find(this.element, `[data-field=${name}]`);
    this.fields = {
      template: field("template"),
      prompt: field("prompt"),
      system: field("system"),
      schema: field("schema"),
    };
    this.first = this.fields.prompt;
    this.#templates = new Map(
      catalog.templates.filter((t) => t.recipe === "generate").map((t) => [t.name, t]),
    );
    for (const name of this.#templates.keys()) this.fields.template.append(make("option", {}, name));
    this.fields.template.addEventListener("change", () => this.#templateChosen());
  }

  get #template() {
    return this.#templates.get(this.fields.template.value);
  }

  /** @param {Model|undefined} model */
  modelChosen(model) {
    this.#supportsSchema = model?.supports_schema ?? true;
    find(this.element, "[data-part=schema]").hidden = !this.#supportsSchema;
  }

  read() {
    const { prompt, system, schema } = this.fields;
    const template = this.#template;
    /** @type {Record<string, unknown>} */ const input = {};
    if (template) {
      input.template = template.name;
      const params = this.#params();
      if (Object.keys(params).length) input.params = params;
    }
    if (this.#takesPrompt) {
      if (!prompt.value.trim()) throw new FormError("Write a prompt.", prompt);
      input.prompt = prompt.value;
    }
    if (system.value.trim()) input.system = system.value;
    if (this.#supportsSchema && schema.value.trim()) input.schema = parseSchema(schema);
    return { input, title: this.#title(input) };
  }

  /** @param {any} input */
  write(input) {
    this.fields.template.value = input.template ?? "";
    this.#templateChosen();
    for (const [name, field] of this.#variables) field.value = input.params?.[name] ?? "";
    this.fields.prompt.value = input.prompt ?? "";
    this.fields.system.value = input.system ?? "";
    this.fields.schema.value = input.schema ? JSON.stringify(input.schema, null, 2) : "";
  }

  get #takesPrompt() {
    return !this.#template || this.#template.variables.includes("input");
  }

  /** Values of the template's variables; those with a default may be left out. */
  #params() {
    /** @type {Record<string, string>} */ const params = {};
    for (const [name, field] of this.#variables) {
      if (field.value) params[name] = field.value;
      else if (field.required) throw new FormError(`The template needs a value for "${name}".`, field);
    }
    return params;
  }

  /** @param {Record<string, any>} input */
  #title(input) {
    const values = Object.values(input.params ?? {}).join(", ");
    const words = input.prompt ?? values;
    return words.slice(0, TITLE_CHARS * 4).split(/\s+/).join(" ").trim().slice(0, TITLE_CHARS);
  }

  #templateChosen() {
    const template = this.#template;
    const part = (/** @type {string} */ name) => find(this.element, `[data-part=${name}]`);
    part("preview").hidden = !template;
    const said = template ? [template.system && `system: ${template.system}`, template.prompt] : [];
    setText(part("template-text"), said.filter(Boolean).join("\n\n"));
    part("prompt").hidden = !this.#takesPrompt;
    setText(part("prompt-label"), template ? "Input: the document or the facts" : "Prompt");
    this.#variables.clear();
    for (const name of template?.variables ?? []) {
      if (name === "input") continue;
      const fallback = template?.defaults?.[name];
      const attributes = { type: "text", required: fallback === undefined, placeholder: fallback };
      this.#variables.set(name, make("input", { ...attributes, name: `variable.${name}` }));
    }
    const labels = [...this.#variables].map(([name, input]) =>
      make("label", { class: "field" }, make("span", {}, name), input),
    );
    part("variables").replaceChildren(...labels);
  }
}

/** @param {HTMLTextAreaElement} field */
function parseSchema(field) {
  try {
    return JSON.parse(field.value);
  } catch (error) {
    throw new FormError(`The schema is not JSON: ${/** @type {Error} */ (error).message}.`, field);
  }
}
