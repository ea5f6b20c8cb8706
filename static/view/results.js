/** Recipes whose answer is more than text, and the views that show it. One row a recipe. */

/** @import {Run} from "../run.js" */

import { BatchView } from "./batchview.js";
import { PlanView } from "./planview.js";
import { StepsView } from "./stepsview.js";
import { VerdictView } from "./verdictview.js";

/**
 * @typedef {object} ResultView
 * @property {HTMLElement} element
 * @property {(run: Run) => void} paint show what has come since the last call.
 */

/** What such an answer comes in. @type {Record<string, string>} */
export const PIECES = { evaluate: "criterion", breakdown: "task", reason: "step", batch: "result" };

/** @type {Record<string, new () => ResultView>} */
export const RESULT_VIEWS = { evaluate: VerdictView, breakdown: PlanView, reason: StepsView, batch: BatchView };
