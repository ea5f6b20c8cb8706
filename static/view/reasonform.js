/** The fields of the recipe `reason`. */

import { Fields, titled } from "./fields.js";

export class ReasonForm {
  #fields = new Fields("reason-template", ["question", "context", "strategy", "samples"]);
  element = this.#fields.element;
  first = this.#fields.fields.question;

  modelChosen() {}

  read() {
    const question = this.#fields.needed("question", "Ask something.");
    /** @type {Record<string, any>} */
    const input = { question, strategy: this.#fields.fields.strategy.value };
    if (this.#fields.fields.context.value.trim()) input.context = this.#fields.fields.context.value;
    this.#fields.numbers(input, "samples");
    return { input, title: titled(question) };
  }

  /** @param {any} input */
  write(input) {
    this.#fields.show(input, "question", "context", "samples");
    this.#fields.fields.strategy.value = input.strategy ?? "plan";
  }
}
