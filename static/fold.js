/** What each kind of event does to a run. A kind that is not here changes nothing. */

/** @import {Run} from "./run.js" */
/** @import {RunEvent} from "./client/types.js" */

import { compare } from "./client/digest.js";

/** @type {Record<string, (run: Run, event: any) => void>} */
export const HANDLERS = {
  "run.started": (run, event) => {
    run.state = "running";
    run.model = event.model;
    run.recipe = event.recipe;
    run.template = event.template ?? "";
    run.cache ??= event.cache;
    run.replayed = event.cache === "hit";
    run.ageSeconds = event.age_seconds ?? null;
  },
  "run.queued": (run, event) => {
    run.state = "queued";
    run.position = event.position;
  },
  "attempt.failed": (run, event) => {
    run.state = "running";
    run.failures.push(event);
    if (event.next) run.model = event.next.model;
  },
  "text.delta": (run, event) => {
    arrived(run, event);
    if (event.step) {
      // The text of a run, and so its hash, is the answer without its steps.
      run.steps.find(({ id }) => id === event.step)?.text.push(event.text);
      return;
    }
    run.text.push(event.text);
    run.chars += event.text.length;
    run.spoken.push(event.text);
  },
  "step.started": (run, event) => {
    run.state = "running";
    run.steps.push({ id: event.step, title: event.title, text: [], done: false });
  },
  "step.completed": (run, event) => {
    const step = run.steps.find(({ id }) => id === event.step);
    if (!step) return;
    step.done = true;
    if (!step.text.length) step.text.push(event.text);
  },
  "item.completed": (run, event) => {
    arrived(run, event);
    run.items.push({ path: event.path, value: event.value });
  },
  "reasoning.delta": (run, event) => {
    arrived(run, event);
    run.reasoningChars += event.text.length;
    run.reasoning.push(event.text);
  },
  "tool.called": (run, event) => {
    run.state = "running";
    run.tools.push(event);
  },
  usage: (run, event) => {
    run.usage = event;
  },
  "run.restarted": (run) => {
    run.text = [];
    run.spoken = [];
    run.steps = [];
    run.items = [];
    run.reasoning = [];
    run.tools = [];
    run.chars = run.reasoningChars = run.deltas = 0;
    run.firstMs = null;
    run.restarts += 1;
  },
  "run.completed": (run, event) => {
    end(run, event, "completed");
    run.digest = "checking";
    compare(run.plainText, event.text_sha256).then((verdict) => run.checked(verdict));
  },
  "run.failed": (run, event) => {
    end(run, event, "failed");
    run.problem = event.error;
  },
  "run.cancelled": (run, event) => end(run, event, "cancelled"),
};

/** @param {Run} run @param {RunEvent} event a piece of output. */
function arrived(run, event) {
  run.state = "running";
  run.deltas += 1;
  run.firstMs ??= event.t_ms;
  run.arrivals.add(event.t_ms);
}

/** @param {Run} run @param {any} event @param {"completed"|"failed"|"cancelled"} state */
function end(run, event, state) {
  run.state = state;
  run.terminal = event;
  if (event.usage && event.usage.output_tokens !== null) run.usage = event.usage;
}
