/** Copying text, also where browsers have no clipboard API: off HTTPS. */

import { make } from "./element.js";

/** @param {string} text @returns {Promise<boolean>} whether it was copied. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", { class: "unseen", readonly: true });
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}

/** Copy, and say on the button for a moment whether it worked. @param {HTMLElement} button @param {string} text */
export async function copyFrom(button, text) {
  const label = (button.dataset.label ??= button.textContent ?? "");
  button.textContent = (await copy(text)) ? "Copied" : "Not copied";
  setTimeout(() => (button.textContent = label), 1_200);
}
