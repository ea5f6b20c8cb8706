/** Snippets as they are shown: a title, the text, a button that copies it. */

/** @import {Snippet} from "./snippets.js" */

import { copyFrom } from "./clipboard.js";
import { make } from "./element.js";

/** @param {Snippet[]} snippets */
export function snippetBlocks(snippets) {
  return snippets.map(({ title, text }) => {
    const button = make("button", { type: "button", class: "small", "aria-label": `Copy ${title}` }, "Copy");
    button.addEventListener("click", () => void copyFrom(button, text));
    return make("div", { class: "snippet", "data-snippet": title },
      make("h4", {}, title), button, make("pre", { class: "mono", tabindex: 0, role: "group", "aria-label": title }, text)); // prettier-ignore
  });
}
