/** How a run has ended, in sentences: what happened, whether trying again helps, what is here. */

/** @import {Run} from "../run.js" */

import { counted } from "./figures.js";

/** @typedef {{tone: "quiet"|"warn"|"bad", head: string, words: string[], link?: string}} Ending */

const CANCELLED = {
  requested: "Somebody asked for it.",
  abandoned: "Nobody read it any more.",
  deadline: "Its time was up.",
  shutdown: "The service was shut down.",
};

/** Why a run can no longer be read. @type {Record<string, [string, string]>} */
const GONE = {
  run_expired: ["Expired.", "The service no longer keeps this run."],
  unknown_run: ["Unknown.", "The service does not know this run; it may have been started anew since."],
};

const DIGEST = {
  checking: "",
  equal: "Text checked (SHA-256).",
  differs: "This is not the text that the service has sent: its SHA-256 differs.",
  unchecked: "Text not checked: browsers do that on HTTPS and on this machine only.",
};

/** @type {Record<string, (run: Run) => Ending>} */
const ENDINGS = {
  completed: (run) => ({
    tone: run.digest === "differs" ? "bad" : "quiet",
    head: "Completed.",
    words: [
      ...(run.chars || run.items.length ? [] : [run.past ? "The history has nothing of its answer." : "The model said nothing."]),
      ...(run.terminal.finish_reason === "length" ? ["Cut off: the limit of tokens was reached."] : []),
      DIGEST[run.digest ?? "checking"],
    ],
  }),
  cancelled: (run) => ({
    tone: "warn",
    head: "Cancelled.",
    words: [CANCELLED[/** @type {keyof typeof CANCELLED} */ (run.terminal.reason)] ?? "", received(run)],
  }),
  failed: (run) => ({
    tone: "bad",
    head: run.id === null ? "Not started." : "Failed.",
    words: [...told(run), run.id === null ? "" : received(run)],
    link: run.problem?.type,
  }),
  left: () => ({
    tone: "warn",
    head: "You have left.",
    words: ["Others still want this run, so it goes on. Open its link to follow it again."],
  }),
  lost: (run) => {
    const [head, words] = GONE[run.problem?.code ?? ""] ?? ["Not to be read.", ""];
    return {
      tone: "bad",
      head,
      words: [...(words ? [words] : told(run)), run.chars ? received(run) : ""],
      link: run.problem?.type,
    };
  },
};

/** @param {Run} run @returns {Ending|null} null while more may come. */
export function ending(run) {
  const made = ENDINGS[run.state]?.(run);
  return made ? { ...made, words: made.words.filter(Boolean) } : null;
}

/** @param {Run} run */
function told(run) {
  const { problem } = run;
  if (!problem) return [];
  const wait = problem.retry_after_ms;
  if (run.past) return [sentence(problem.title), sentence(problem.detail)];
  const again = !problem.retryable ? "The same request will fail again."
    : wait ? `Trying again may help, in ${Math.ceil(wait / 1000)} s.`
    : "Trying again may help."; // prettier-ignore
  const field = problem.field ? `Field: ${problem.field}.` : "";
  return [sentence(problem.title), sentence(problem.detail), field, again];
}

/** What a provider says need not end like one. @param {string} text */
function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** @param {Run} run */
function received(run) {
  return run.chars ? `What is here is a part: ${counted(run.chars, "character")} had come.` : "No text had come.";
}
