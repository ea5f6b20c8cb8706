/** What a mock provider is to do wrong, chosen on purpose: a menu that makes up a model's name. */

/** @import {Fault} from "../types.js" */

import { byId, make } from "./element.js";
import { FormError } from "./formerror.js";

const OWN = "own"; // the menu's value for words that are typed
const WORDS = /^[a-z0-9-]*$/;
const NAME = /^([^/]+)\/t\d+-mock-?(.*)$/;

/** There only where the service has a mock provider (`llm-stream mock-providers`). */
export class FaultMenu {
  #menu = byId("fault");
  #words = byId("fault-words");
  #hint = byId("fault-hint");
  /** @type {Fault[]} */ #faults = [];
  /** @type {string[]} */ #mocks = [];
  #count = Date.now() % 1_000_000;

  /** @param {() => void} changed the choice is another one. */
  constructor(changed) {
    this.changed = changed;
    this.#menu.addEventListener("change", () => this.#chosen());
  }

  /** @param {string[]} mocks names of the providers that are mocks. @param {Fault[]} faults */
  fill(mocks, faults) {
    this.#mocks = mocks;
    this.#faults = faults;
    byId("fault-field").hidden = !mocks.length;
    const group = (/** @type {string} */ provider) =>
      make("optgroup", { label: `Mock provider: ${provider}` },
        ...faults.map(({ title }, place) => make("option", { value: `${provider}/${place}` }, title)),
        make("option", { value: `${provider}/${OWN}` }, "words of your own")); // prettier-ignore
    this.#menu.replaceChildren(make("option", { value: "" }, "none: ask the model above"), ...mocks.map(group));
  }

  /** Whether a mock answers, and not the model that the form names. */
  get active() {
    return this.#menu.value !== "";
  }

  /**
   * What the request says of model and timers. The name is another one each time: a mock counts
   * its faults by name, and the cache has answers by it.
   *
   * @returns {Record<string, any>} empty = no fault is chosen.
   */
  read() {
    if (!this.active) return {};
    const [provider, which] = this.#menu.value.split("/");
    const own = this.#words.value.trim().toLowerCase();
    if (which === OWN && !WORDS.test(own)) throw new FormError("Words of a fault are joined by -: cut-50-rst.", this.#words);
    const { words, request = {}, fallback } = this.#faults[Number(which)] ?? { words: own };
    const more = fallback ? { fallback_models: [`${provider}/mock`] } : {};
    return { ...request, ...more, model: `${provider}/${named(`t${++this.#count}-mock`, words)}` };
  }

  /** Show what a request says, if it says such a thing. @param {Record<string, any>} input */
  write(input) {
    const [, provider, words] = NAME.exec(input.model ?? "") ?? [];
    const known = provider !== undefined && this.#mocks.includes(provider);
    const place = this.#faults.findIndex((fault) =>
      fault.words === words
      && !fault.fallback === !input.fallback_models
      && fault.request?.on_midstream_failure === input.on_midstream_failure); // prettier-ignore
    this.#menu.value = known ? `${provider}/${place < 0 ? OWN : place}` : "";
    this.#words.value = known && place < 0 ? words : "";
    this.#chosen();
  }

  #chosen() {
    const which = this.#menu.value.split("/")[1];
    byId("fault-words-field").hidden = which !== OWN;
    const fault = this.#faults[Number(which)];
    this.#hint.hidden = !this.active;
    if (fault) this.#hint.replaceChildren(`${fault.shows} `, make("code", {}, named("mock", fault.words)));
    else this.#hint.replaceChildren(make("a", { href: "/docs/testing", target: "_blank", rel: "noopener" }, "The words there are"), "; they combine.");
    this.changed();
  }
}

/** @param {string} stem @param {string} words */
function named(stem, words) {
  return words ? `${stem}-${words}` : stem;
}
