/** What the service says of a run when it is asked once. A panel of the drawer. */

/** @import {Run} from "../run.js" */

import { snapshot } from "../wire/api.js";
import { asProblem } from "../wire/problem.js";
import { make } from "./element.js";

export class SnapshotPanel {
  title = "Snapshot";
  /** @type {Run|null} */ #run = null;

  constructor() {
    this.path = make("code", {});
    this.answer = make("pre", { class: "mono", tabindex: 0, role: "group", "aria-label": "Snapshot" });
    const again = make("button", { type: "button", class: "small", onclick: () => void this.#ask() }, "Ask again");
    this.element = make("section", { class: "panel scroll" },
      make("div", { class: "panel-bar" }, this.path, again), this.answer); // prettier-ignore
  }

  /** @param {Run|null} run */
  show(run) {
    this.#run = run;
    if (run) void this.#ask();
  }

  async #ask() {
    const run = this.#run;
    if (!run?.id) return;
    this.path.textContent = `GET /v1/runs/${run.id}`;
    let text;
    try {
      text = JSON.stringify(await snapshot(run.id), null, 2);
    } catch (error) {
      text = JSON.stringify(asProblem(error), null, 2);
    }
    if (run === this.#run) this.answer.textContent = text;
  }
}
