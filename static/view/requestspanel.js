/** What this page has asked: a dialog with each request as curl, Python and JavaScript. */

/** @import {Asked} from "../wire/requests.js" */

import { service } from "../service.js";
import { requests } from "../wire/requests.js";
import { make } from "./element.js";
import { counted } from "./figures.js";
import { Sheet } from "./sheet.js";
import { snippetBlocks } from "./snippetblocks.js";
import { snippets } from "./snippets.js";

const CLOCK = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** Entries are buttons in a list; one at a time shows how to ask the same. */
export class RequestsPanel {
  /** @type {Asked|null} */ #chosen = null;

  constructor() {
    this.list = make("ul", { class: "asked" });
    this.empty = make("p", { class: "quiet" }, "This page has asked nothing yet.");
    this.detail = make("div", { class: "asked-detail", tabindex: 0, role: "region", "aria-label": "The request as a program" });
    this.sheet = new Sheet("requests", "Requests", { opened: () => this.#show() },
      make("div", { class: "asked-both" },
        make("div", { class: "asked-list", tabindex: 0, role: "region", "aria-label": "Requests of this page, newest first" }, this.list, this.empty),
        this.detail)); // prettier-ignore
    requests.addEventListener("change", () => this.sheet.dialog.open && this.#paint());
  }

  #show() {
    this.#paint();
    const [first] = requests.list;
    if (!this.#chosen && first) this.#choose(first);
    else if (this.#chosen) this.#choose(this.#chosen);
  }

  #paint() {
    const all = requests.list;
    this.empty.hidden = all.length > 0;
    this.sheet.figures([["shown", String(all.length)]]);
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.asked : undefined;
    this.list.replaceChildren(...all.map((asked) => this.#row(asked)));
    if (focused) this.list.querySelector(`[data-asked="${CSS.escape(focused)}"]`)?.focus();
  }

  /** @param {Asked} asked */
  #row(asked) {
    const { method, path, status, count, at } = asked;
    const failed = /^[45]|^no answer/.test(status);
    const words = [CLOCK.format(at), status || "\u2026", ...(count > 1 ? [counted(count, "time")] : [])];
    const button = make("button", { type: "button", "data-asked": `${method} ${path}`, onclick: () => this.#choose(asked) },
      make("span", { class: "mono" }, make("b", {}, method), ` ${path}`),
      make("span", { class: failed ? "bad" : "quiet" }, words.join(" \u00b7 "))); // prettier-ignore
    if (same(asked, this.#chosen)) button.setAttribute("aria-current", "true");
    return make("li", {}, button);
  }

  /** @param {Asked} asked */
  #choose(asked) {
    this.#chosen = asked;
    this.#paint();
    const { method, path } = asked;
    const parts = snippetBlocks(snippets(location.origin, asked, service.key !== ""));
    this.detail.replaceChildren(make("h3", { class: "mono" }, `${method} ${path}`), ...parts);
    this.detail.scrollTop = 0;
  }
}

/** @param {Asked} one @param {Asked|null} other */
function same(one, other) {
  return other !== null && one.method === other.method && one.path === other.path
    && JSON.stringify(one.body) === JSON.stringify(other.body); // prettier-ignore
}
