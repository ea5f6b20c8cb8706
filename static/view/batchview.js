/** The results of a batch, each where its request stood, as they end. */

/** @import {Run} from "../run.js" */

import { make, setText } from "./element.js";

export class BatchView {
  #sum = make("p", { class: "sum", hidden: true });
  #list = make("ol", { class: "steps" });
  element = make("div", { class: "steps" }, this.#sum, this.#list);
  /** @type {unknown} */ #items = null;
  #shown = 0;

  /** @param {Run} run */
  paint(run) {
    if (run.items !== this.#items) {
      this.#items = run.items;
      this.#shown = 0;
      this.#list.replaceChildren();
    }
    for (; this.#shown < run.items.length; this.#shown += 1) this.#add(run.items[this.#shown]);
    const { total, completed, failed } = run.terminal?.result ?? {};
    this.#sum.hidden = total === undefined;
    if (total !== undefined) setText(this.#sum, `${completed} of ${total} completed${failed ? `, ${failed} failed` : ""}.`);
  }

  /** @param {{path: string, value: any}} item */
  #add({ path, value }) {
    const place = Number(path.split("/")[1]);
    const { id, status, answer, error, run } = value;
    const said = run ? make("a", { href: `/#run=${run}` }, "Open its run")
      : error ? `${error.code}: ${error.detail}`
      : (answer.text ?? JSON.stringify(answer, null, 2)); // prettier-ignore
    const section = make("li", { "data-place": place },
      make("h4", {}, `${id ?? place}: ${status}`), make("div", { class: "passage" }, said)); // prettier-ignore
    const after = [...this.#list.children].find((other) => Number(other.dataset.place) > place);
    this.#list.insertBefore(section, after ?? null);
  }
}
