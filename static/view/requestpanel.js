/** How to ask for the same, and to follow it, with curl, Python or JavaScript. A panel of the drawer. */

/** @import {Run} from "../run.js" */

import { service } from "../service.js";
import { make } from "./element.js";
import { snippetBlocks } from "./snippetblocks.js";
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
    const blocks = [];
    if (run.input) {
      const edit = make("button", { type: "button", class: "small", onclick: () => this.edit(run) }, "Put into the form");
      blocks.push(make("div", { class: "panel-bar" }, edit));
      blocks.push(section("start", "Ask the same", { method: "POST", path: `/v1/${run.recipe}`, body: run.input }));
    } else {
      blocks.push(make("p", { class: "quiet" }, "This tab has not started the run and does not know its request."));
    }
    if (run.id) {
      const path = `/v1/runs/${encodeURIComponent(run.id)}`;
      blocks.push(section("follow", "Follow this run", { method: "GET", path: `${path}/events` }));
      if (!run.isOver) blocks.push(section("cancel", "Cancel this run", { method: "POST", path: `${path}/cancel` }));
    }
    this.element.replaceChildren(...blocks);
  }
}

/** @param {string} name @param {string} title @param {import("./snippets.js").Call} call */
function section(name, title, call) {
  return make("section", { class: "way", "data-way": name }, make("h3", {}, title),
    ...snippetBlocks(snippets(location.origin, call, service.key !== ""))); // prettier-ignore
}
