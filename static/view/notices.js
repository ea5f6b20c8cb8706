/** What the page itself has to say: its own errors, shown and not swallowed. */

import { byId, make } from "./element.js";

export class Notices {
  #host = byId("notices");

  constructor() {
    addEventListener("error", (event) => this.show(`The page failed: ${event.message}`));
    addEventListener("unhandledrejection", (event) =>
      this.show(`The page failed: ${event.reason?.message ?? event.reason}`),
    );
    addEventListener("securitypolicyviolation", (event) =>
      this.show(`The browser blocked ${event.blockedURI} (${event.violatedDirective}).`),
    );
  }

  /** @param {string} text shown until it is dismissed; the same text once. */
  show(text) {
    for (const shown of this.#host.children) if (shown.dataset.text === text) return;
    const notice = make("p", { class: "notice", "data-text": text }, make("span", {}, text));
    notice.append(
      make("button", { type: "button", class: "icon", "aria-label": "Dismiss", onclick: () => notice.remove() }, "\u00d7"),
    );
    this.#host.append(notice);
  }
}
