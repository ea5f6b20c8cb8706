/** What can be run: one entry a recipe. The composer shows a choice as soon as there are two. */

/** @import {Catalog, Model} from "../types.js" */

import { BreakdownForm } from "./breakdownform.js";
import { EvaluateForm } from "./evaluateform.js";
import { GenerateForm } from "./generateform.js";
import { ReasonForm } from "./reasonform.js";

/**
 * The fields of one recipe.
 *
 * @typedef {object} RecipeForm
 * @property {HTMLElement} element
 * @property {(model: Model|undefined) => void} modelChosen
 * @property {() => {input: object, title: string}} read throws `FormError`.
 * @property {(input: any) => void} write the opposite of `read`.
 * @property {HTMLElement} first the field to write into first.
 */

/**
 * @typedef {object} Recipe
 * @property {string} name as in the `start` frame and in `POST /v1/<name>`.
 * @property {string} title
 * @property {new (catalog: Catalog) => RecipeForm} Form
 */

/** @type {Recipe[]} */
export const RECIPES = [
  { name: "generate", title: "Generate", Form: GenerateForm },
  { name: "evaluate", title: "Evaluate", Form: EvaluateForm },
  { name: "breakdown", title: "Break down", Form: BreakdownForm },
  { name: "reason", title: "Reason", Form: ReasonForm },
];
