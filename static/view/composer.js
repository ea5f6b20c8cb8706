/** The form that starts runs: a recipe's own fields, and those that all recipes share. */

/** @import {Catalog, Model} from "../types.js" */
/** @import {RecipeForm} from "./recipes.js" */

import { readCache, writeCache } from "./cachefields.js";
import { byId, make } from "./element.js";
import { EXAMPLES } from "./examples.js";
import { FaultMenu } from "./faultmenu.js";
import { FormError } from "./formerror.js";
import { optionFields } from "./options.js";
import { RECIPES } from "./recipes.js";

/** @typedef {{recipe: string, input: Record<string, any>, title: string}} Order */

export class Composer {
  #form = byId("composer");
  #pane = byId("composer-fold").closest(".composer-pane");
  #model = byId("model");
  #complaint = byId("composer-complaint");
  #faults = new FaultMenu(() => this.#modelChosen());
  #recipe = RECIPES[0];
  /** @type {RecipeForm|null} */ #fields = null;
  /** @type {Catalog|null} */ #catalog = null;
  /** @type {import("./options.js").OptionField[]} */ #options = [];

  /** @param {(order: Order) => void} submitted */
  constructor(submitted) {
    this.submitted = submitted;
    this.#form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#submit();
    });
    addEventListener("keydown", (event) => {
      const inside = this.#form.contains(document.activeElement) || document.activeElement === document.body;
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !inside) return;
      event.preventDefault();
      this.#submit();
    });
    this.#model.addEventListener("change", () => this.#modelChosen());
    byId("composer-fold").addEventListener("click", () =>
      this.#fold(!this.#pane.classList.contains("folded")),
    );
  }

  /** Whether the models and templates are known. */
  get ready() {
    return this.#catalog !== null;
  }

  /** @param {Catalog} catalog */
  fill(catalog) {
    this.#catalog = catalog;
    this.complain("");
    const { models, aliases } = catalog;
    const fallback = aliases.default;
    const tiers = Object.keys(aliases).filter((name) => name !== "default").sort();
    const option = (/** @type {string} */ value, /** @type {string} */ text) =>
      make("option", { value }, text);
    this.#model.replaceChildren(
      option("", fallback ? `default (${fallback})` : "default: none is set"),
      make("optgroup", { label: "Aliases" }, ...tiers.map((name) => option(name, `${name} (${aliases[name]})`))),
      make("optgroup", { label: "Models" }, ...models.map(({ id }) => option(id, id))),
    );
    this.#faults.fill(catalog.mocks, catalog.faults);
    const known = new Set(catalog.templates.map((template) => template.name));
    for (const example of EXAMPLES) {
      if (example.input.template && !known.has(example.input.template)) continue;
      const use = () => this.#fillForm(example.recipe, example.input);
      byId("examples").append(make("button", { type: "button", class: "small", onclick: use }, example.title));
    }
    byId("examples").hidden = false;
    this.#showRecipes();
    this.#recipeChosen(this.#recipe.name);
  }

  /** Put a request back into the form. @param {string} recipe @param {Record<string, any>} input */
  write(recipe, input) {
    this.#faults.write(input);
    this.#model.value = this.#faults.active ? "" : (input.model ?? "");
    this.#modelChosen();
    this.#fillForm(recipe, input);
  }

  /** All but the model. @param {string} recipe @param {Record<string, any>} input */
  #fillForm(recipe, input) {
    this.#recipeChosen(recipe);
    this.#fields?.write(input);
    for (const option of this.#options) option.write(input.options?.[option.name]);
    writeCache(input.cache);
    byId("on-disconnect").value = input.on_disconnect ?? "";
    this.complain("");
    this.#fold(false);
    this.#fields?.first.focus();
  }

  /** Make room for the runs where there is little. */
  fold() {
    this.#fold(true);
  }

  /** @param {string} text shown at the form; "" = nothing is wrong. */
  complain(text) {
    this.#complaint.textContent = text;
    this.#complaint.hidden = !text;
  }

  #submit() {
    if (!this.#fields) return;
    for (const field of this.#form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    try {
      const { input, title } = this.#fields.read();
      this.complain("");
      this.submitted({ recipe: this.#recipe.name, input: { ...input, ...this.#common() }, title });
      this.#fold(true);
    } catch (error) {
      if (!(error instanceof FormError)) throw error;
      this.complain(error.message);
      error.field.setAttribute("aria-invalid", "true");
      error.field.closest("details")?.setAttribute("open", "");
      error.field.focus();
    }
  }

  /** What is set of the fields that all recipes share. */
  #common() {
    /** @type {Record<string, any>} */ const common = this.#faults.read();
    if (!this.#faults.active && this.#model.value) common.model = this.#model.value;
    /** @type {Record<string, unknown>} */ const options = {};
    for (const { name, read, element } of this.#options) {
      try {
        const value = read();
        if (value !== undefined) options[name] = value;
      } catch {
        throw new FormError(`Option "${name}" has to be JSON.`, element.querySelector("input") ?? element);
      }
    }
    if (Object.keys(options).length) common.options = options;
    const cache = readCache();
    if (cache) common.cache = cache;
    if (byId("on-disconnect").value) common.on_disconnect = byId("on-disconnect").value;
    return common;
  }

  #showRecipes() {
    const segments = byId("recipes");
    segments.hidden = RECIPES.length < 2;
    for (const { name, title } of RECIPES) {
      const radio = make("input", { type: "radio", name: "recipe", value: name, onchange: () => this.#recipeChosen(name) });
      segments.append(make("label", {}, radio, title));
    }
  }

  /** @param {string} name */
  #recipeChosen(name) {
    if (!this.#catalog || (this.#fields && this.#recipe.name === name)) return;
    this.#recipe = RECIPES.find((recipe) => recipe.name === name) ?? this.#recipe;
    this.#fields = new this.#recipe.Form(this.#catalog);
    byId("recipe-fields").replaceChildren(this.#fields.element);
    for (const radio of byId("recipes").querySelectorAll("input")) radio.checked = radio.value === this.#recipe.name;
    this.#modelChosen();
  }

  #modelChosen() {
    this.#model.disabled = this.#faults.active;
    const model = this.#chosenModel();
    const before = new Map(this.#options.map((option) => [option.name, option]));
    this.#options = model ? optionFields(model.options) : [];
    for (const option of this.#options) option.keep(before.get(option.name));
    byId("model-options").replaceChildren(...this.#options.map((option) => option.element));
    this.#fields?.modelChosen(model);
  }

  /** @returns {Model|undefined} */
  #chosenModel() {
    if (this.#faults.active) return undefined;
    const { models = [], aliases = {} } = this.#catalog ?? {};
    const name = this.#model.value || aliases.default;
    return models.find(({ id }) => id === (aliases[name] ?? name));
  }

  /** On a phone the form makes room for the runs. @param {boolean} folded */
  #fold(folded) {
    this.#pane.classList.toggle("folded", folded);
    const button = byId("composer-fold");
    button.setAttribute("aria-expanded", String(!folded));
    // Where the form vanishes, what was focused in it does too.
    if (folded && button.checkVisibility() && this.#form.contains(document.activeElement)) button.focus();
  }
}
