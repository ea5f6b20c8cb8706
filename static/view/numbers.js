/** The figures of a card: how fast an answer comes, or what it saves where it is replayed. */

/** @import {Run} from "../run.js" */

import { find, setText } from "./element.js";
import { duration, perSecond, whole } from "./figures.js";

export class Numbers {
  /** @type {Record<string, any>} */ #values;

  /** @param {HTMLElement} list with a `dd` for each figure. */
  constructor(list) {
    const value = (/** @type {string} */ name) => find(list, `[data-number=${name}]`);
    this.#values = { first: value("first"), rate: value("rate"), tokens: value("tokens"), total: value("total") };
    this.word = find(list, "[data-word=tokens]");
  }

  /** @param {Run} run */
  paint(run) {
    const { first, rate, tokens, total } = this.#values;
    setText(first, duration(run.terminal?.timings?.first_token_ms ?? run.firstMs));
    setText(rate, perSecond(run.rate));
    // An answer that was there at once has no speed worth a figure.
    first.parentElement.hidden = rate.parentElement.hidden = run.instant;
    setText(total, run.instant ? "0 ms, from the cache" : duration(run.id ? run.elapsedMs : null));
    const { text, title } = run.replayed && run.isOver ? saved(run) : spent(run);
    setText(this.word, run.replayed && run.isOver ? "saved" : "tokens");
    setText(tokens, text);
    tokens.title = title;
  }
}

/** @param {Run} run */
function spent(run) {
  return {
    text: run.past && !run.tokensReported ? "-" : (run.tokensReported || !run.deltas ? "" : "\u2248 ") + whole(run.tokens),
    title: run.tokensReported
      ? "As the model reports them"
      : "Pieces that have come; the model has not reported tokens",
  };
}

/** @param {Run} run */
function saved(run) {
  if (!run.tokensReported) {
    return { text: `\u2248 ${whole(run.tokens)} tokens`, title: "Pieces of the answer; the model had not reported tokens" };
  }
  const [asked, answered] = [run.usage?.input_tokens ?? 0, run.usage?.output_tokens ?? 0];
  return {
    text: `${whole(asked + answered)} tokens`,
    title: `${whole(asked)} of the request and ${whole(answered)} of the answer, as the model reported them then`,
  };
}
