/** The fields of the recipe `breakdown`. */

import { Fields, titled } from "./fields.js";

export class BreakdownForm {
  #fields = new Fields("breakdown-template", ["task", "context", "requirements", "max_tasks", "max_depth"]);
  element = this.#fields.element;
  first = this.#fields.fields.task;

  modelChosen() {}

  read() {
    const task = this.#fields.needed("task", "Say what is to be done.");
    /** @type {Record<string, any>} */
    const input = { task };
    if (this.#fields.fields.context.value.trim()) input.context = this.#fields.fields.context.value;
    const requirements = this.#fields.lines("requirements");
    if (requirements.length) {
      input.requirements = requirements.map((text, place) => ({ id: `R${place + 1}`, text }));
    }
    this.#fields.numbers(input, "max_tasks", "max_depth");
    return { input, title: titled(task) };
  }

  /** @param {any} input */
  write(input) {
    this.#fields.show(input, "task", "context", "max_tasks", "max_depth");
    const texts = (input.requirements ?? []).map((/** @type {any} */ requirement) => requirement.text);
    this.#fields.fields.requirements.value = texts.join("\n");
  }
}
