/** Steps of a reasoning as a column, votes side by side. */

/** @import {Run} from "../run.js" */

import { make, setText } from "./element.js";
import { Passage } from "./passage.js";

export class StepsView {
  element = make("div", { class: "steps" });
  /** @type {unknown} */ #steps = null;
  /** @type {{element: any, passage: Passage}[]} */ #shown = [];
  #sum = make("p", { class: "sum", hidden: true });

  /** @param {Run} run */
  paint(run) {
    if (run.steps !== this.#steps) {
      this.#steps = run.steps;
      this.#shown = [];
      this.element.replaceChildren(this.#sum);
    }
    run.steps.forEach((step, place) => {
      const { element, passage } = this.#shown[place] ?? this.#add(step, place);
      passage.paint(step.text);
      element.dataset.state = step.done ? "done" : "running";
    });
    this.element.classList.toggle("votes", run.steps.length > 1 && run.steps.every(({ id }) => id.startsWith("vote-")));
    const agreement = run.terminal?.result?.agreement;
    if (agreement) {
      const votes = Object.entries(agreement.votes).map(([vote, count]) => `${vote}: ${count}`);
      setText(this.#sum, `${Math.round(agreement.value * 100)} % agree. ${votes.join(", ")}`);
      this.#sum.hidden = false;
    }
  }

  /** @param {{id: string, title: string}} step @param {number} place */
  #add({ id, title }, place) {
    const text = make("div", { class: "passage" });
    const element = make("section", { "data-step": id }, make("h4", {}, title), text);
    this.element.append(element);
    this.#shown[place] = { element, passage: new Passage(text) };
    return this.#shown[place];
  }
}
