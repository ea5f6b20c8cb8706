/** A run of which only the history knows: its answer, and no events. */

/** @import {PastSnapshot} from "./types.js" */

import { Run } from "./run.js";

/** Results that are made of pieces, and what those are called in them. @type {Record<string, string>} */
const PIECES = { evaluate: "criteria", breakdown: "tasks" };

export class PastRun extends Run {
  past = true;

  /** @param {PastSnapshot} told */
  constructor(told) {
    super({ recipe: told.recipe, title: told.title });
    const { id, state, text, reasoning, statistics, result, finish_reason, reason, error } = told;
    this.id = id;
    this.messages = told.messages;
    this.state = state;
    this.model = told.model;
    this.template = told.template ?? "";
    this.text = text ? [text] : [];
    this.chars = text.length;
    this.reasoning = reasoning ? [reasoning] : [];
    this.reasoningChars = reasoning?.length ?? 0;
    // Where somebody has deleted what was answered there is no verdict, and no plan, to draw.
    if (state === "completed" && this.recipe in PIECES && !result) this.recipe = "generate";
    this.items = told.items.length ? told.items : pieces(told);
    this.steps = steps(result);
    this.tools = /** @type {any} */ (told.tool_calls);
    this.usage = statistics;
    this.terminal = { timings: statistics, result, finish_reason, reason };
    if (state === "failed") this.problem = problem(told.error_code ?? "", error);
  }
}

/** Pieces out of a result, where it is all that was kept; those of a batch are runs. @param {PastSnapshot} told */
function pieces({ recipe, result, runs }) {
  if (recipe === "batch") {
    return runs.map(({ id, recipe: of, state }, place) => ({ path: `results/${place}`, value: { id: of, status: state, run: id } }));
  }
  const name = PIECES[recipe];
  const values = /** @type {any[]} */ (result?.[name] ?? []);
  return values.map((value, place) => ({ path: `${name}/${place}`, value }));
}

/** What `reason` has done before it answered. @param {any} result */
function steps(result) {
  const said = /** @type {any[]} */ (Array.isArray(result?.steps) ? result.steps : []);
  return said.map(({ step, title, text }) => ({ id: step, title, text: [text], done: true }));
}

/** @param {string} code @param {{title: string, type: string}} [known] @returns {import("./client/types.js").Problem} */
function problem(code, known) {
  const detail = "The history keeps the kind of a failure, not its words.";
  return { title: known?.title ?? code, type: known?.type, status: 0, detail, code, retryable: false };
}
