/** A text that grows at its end: nodes are appended, what stands is never touched again. */

/** @import {Seam} from "../run.js" */

import { make } from "./element.js";

const BLOCK_CHARS = 2_000;
const LONGEST_BLOCK_CHARS = 10_000;

/** Words of a seam, shown by the style sheet: the text of the page stays the text of the run. */
const WORDS = {
  resumed: (/** @type {Seam} */ seam) => `resumed after ${seam.after}`,
  gap: (/** @type {Seam} */ seam) => `no longer kept: ${seam.after} to ${seam.first}`,
  hole: (/** @type {Seam} */ seam) => `missing: between ${seam.after} and ${seam.first}`,
};

/**
 * Shows pieces in blocks of a few thousand characters that end at a line break, so that a long text
 * costs the browser no more per token than a short one. In a text without line breaks a block ends
 * between two words, which shows as one line that is not full.
 */
export class Passage {
  /** @type {(string|Seam)[]|null} */ #pieces = null;
  #shown = 0;
  /** @type {HTMLElement|null} */ #block = null;
  #blockChars = 0;

  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
  }

  /** Append what has come since the last call; another array means another text. @param {(string|Seam)[]} pieces */
  paint(pieces) {
    if (pieces !== this.#pieces) {
      this.#pieces = pieces;
      this.#shown = 0;
      this.#block = null;
      this.host.replaceChildren();
    }
    let text = "";
    for (; this.#shown < pieces.length; this.#shown += 1) {
      const piece = pieces[this.#shown];
      if (typeof piece === "string") {
        text += piece;
      } else {
        this.#append(text);
        text = "";
        this.#tail().append(seamElement(piece));
      }
    }
    this.#append(text);
  }

  /** @param {string} text */
  #append(text) {
    let from = 0;
    while (from < text.length) {
      const tail = this.#tail();
      const end = this.#blockEnd(text, from);
      const to = end < 0 ? text.length : end + 1;
      tail.append(text.slice(from, to));
      this.#blockChars += to - from;
      if (end >= 0) this.#block = null;
      from = to;
    }
  }

  /** Where the block that is open ends in `text`; -1 = it goes on. @param {string} text @param {number} from */
  #blockEnd(text, from) {
    const room = (/** @type {number} */ limit) => from + Math.max(0, limit - this.#blockChars);
    const word = text.indexOf(" ", room(LONGEST_BLOCK_CHARS));
    const line = text.indexOf("\n", room(BLOCK_CHARS));
    return line >= 0 && (word < 0 || line < word) ? line : word;
  }

  /** The block to append to. @returns {HTMLElement} */
  #tail() {
    if (this.#block) return this.#block;
    const block = make("div", { class: "block" });
    this.host.append(block);
    this.#block = block;
    this.#blockChars = 0;
    return block;
  }
}

/** @param {Seam} seam */
function seamElement(seam) {
  const words = WORDS[seam.kind](seam);
  return make("span", {
    class: "seam",
    role: "img",
    "data-kind": seam.kind,
    "data-words": words,
    "aria-label": words,
  });
}
