/** How to ask for the same with curl, Python or JavaScript. A panel of the drawer. */

/** @import {Run} from "../run.js" */

import { copyFrom } from "./clipboard.js";
import { make } from "./element.js";
import { snippets } from "./snippets.js";

export class RequestPanel {
  title = "Request";
  element = make("section", { class: "panel scroll" });

  /** @param {(run: Run) => void} edit puts the request into the form. */
  constructor(edit) {
    this.edit = edit;
  }

  /** @param {Run|null} run */
  show(run) {
    if (!run) return;
    if (!run.input) {
      this.element.replaceChildren(
        make("p", { class: "quiet" }, "This tab has not started the run and does not know its request."),
      );
      return;
    }
    const edit = make("button", { type: "button", class: "small", onclick: () => this.edit(run) }, "Put into the form");
    const parts = snippets(location.origin, run.recipe, run.input).map(({ title, text }) => {
      const button = make("button", { type: "button", class: "small", "aria-label": `Copy ${title}` }, "Copy");
      button.addEventListener("click", () => void copyFrom(button, text));
      return make("div", { class: "snippet", "data-snippet": title },
        make("h3", {}, title), button, make("pre", { class: "mono", tabindex: 0 }, text)); // prettier-ignore
    });
    this.element.replaceChildren(make("div", { class: "panel-bar" }, edit), ...parts);
  }
}
