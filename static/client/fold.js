/** Events of one run put together: text and pieces, figures, its end. */

/** @import {RunEvent} from "./types.js" */

/** Types of events that nothing follows. */
export const TERMINAL = new Set(["run.completed", "run.failed", "run.cancelled"]);

/**
 * What a run has said so far. `run.restarted` voids its output.
 *
 * @template [Mark=never] what a reader puts between pieces of text.
 */
export class Fold {
  recipe = "";
  /** Who answers: the model that was asked, or the last fallback. */ model = "";
  template = "";
  /** How the cache took part: `miss`, `hit`, `joined` or `bypass`. @type {string|null} */ cache = null;
  /** How old an answer of the cache is. @type {number|null} */ ageSeconds = null;
  /** Pieces of the answer in order, without what single steps have said. @type {(string|Mark)[]} */ text = [];
  /** The same of the reasoning. @type {(string|Mark)[]} */ reasoning = [];
  /** Steps of recipes that have them, in order. @type {{id: string, title: string, text: string[], done: boolean}[]} */
  steps = [];
  /** Finished pieces of the result, in order of arrival. @type {{path: string, value: any}[]} */ items = [];
  /** Calls of tools. @type {RunEvent[]} */ tools = [];
  /** What went wrong with single attempts. @type {RunEvent[]} */ failures = [];
  /** @type {{input_tokens: number|null, output_tokens: number|null}|null} */ usage = null;
  restarts = 0;
  /** The terminal event. @type {any} */ terminal = null;

  /** The whole answer so far; its SHA-256 is the terminal event's `text_sha256`. */
  get plainText() {
    return this.text.filter((piece) => typeof piece === "string").join("");
  }

  /** @param {RunEvent} event the next one. A type that is not known changes nothing. */
  add(event) {
    HANDLERS[event.type]?.(this, event);
  }
}

/** @type {Record<string, (fold: Fold<any>, event: any) => void>} */
const HANDLERS = {
  "run.started": (fold, event) => {
    fold.model = event.model;
    fold.recipe = event.recipe;
    fold.template = event.template ?? "";
    fold.cache ??= event.cache;
    fold.ageSeconds = event.age_seconds ?? null;
  },
  "attempt.failed": (fold, event) => {
    fold.failures.push(event);
    if (event.next) fold.model = event.next.model;
  },
  "text.delta": (fold, event) => {
    // The text of a run, and so its hash, is the answer without its steps.
    if (event.step) fold.steps.find(({ id }) => id === event.step)?.text.push(event.text);
    else fold.text.push(event.text);
  },
  "reasoning.delta": (fold, event) => fold.reasoning.push(event.text),
  "step.started": (fold, event) => {
    fold.steps.push({ id: event.step, title: event.title, text: [], done: false });
  },
  "step.completed": (fold, event) => {
    const step = fold.steps.find(({ id }) => id === event.step);
    if (!step) return;
    step.done = true;
    if (!step.text.length) step.text.push(event.text);
  },
  "item.completed": (fold, event) => fold.items.push({ path: event.path, value: event.value }),
  "tool.called": (fold, event) => fold.tools.push(event),
  usage: (fold, event) => {
    fold.usage = event;
  },
  "run.restarted": (fold) => {
    fold.text = [];
    fold.reasoning = [];
    fold.steps = [];
    fold.items = [];
    fold.tools = [];
    fold.restarts += 1;
  },
  "run.completed": end,
  "run.failed": end,
  "run.cancelled": end,
};

/** @param {Fold<any>} fold @param {any} event */
function end(fold, event) {
  fold.terminal = event;
  if (event.usage && event.usage.output_tokens !== null) fold.usage = event.usage;
}
