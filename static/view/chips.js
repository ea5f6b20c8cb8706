/** What is said of a run in a word or two each. */

/** @import {Run} from "../run.js" */

import { span } from "./figures.js";

/** @typedef {{text: string, tone: ""|"state"|"good"|"warn"|"bad", title: string}} Chip */

/** @type {Record<string, [string, string]>} */
const CACHE = {
  miss: ["cache miss", "Nobody had asked for this; the model was called"],
  hit: ["cache hit", "Answered from the cache; no model was called"],
  joined: ["joined", "An equal run was under way; this one reads it too"],
  bypass: ["cache bypassed", "A run of its own, neither shared nor answered from the cache"],
};

/** The state in a word; also what is announced. @param {Run} run */
export function stateWord(run) {
  if (run.cutOff && !run.isOver) return "disconnected";
  if (run.state === "queued" && run.position) return `queued, place ${run.position}`;
  return run.state;
}

/** @param {Run} run @returns {Chip[]} */
export function chips(run) {
  const all = [state(run)];
  if (run.past) all.push({ text: "from the history", tone: "", title: "The service no longer keeps its events; this is what was recorded" });
  const add = (/** @type {string} */ text, /** @type {Chip["tone"]} */ tone, title = "") =>
    all.push({ text, tone, title });
  if (run.model) add(run.model, "", "The model that answers");
  if (run.template) add(run.template.split("@")[0], "", `Template ${run.template}`);
  if (run.cache) {
    const [text, title] = CACHE[run.cache] ?? [run.cache, "Cache"];
    const age = run.ageSeconds === null ? "" : `, ${span(run.ageSeconds)} old`;
    add(run.cache === "hit" ? text + age : text, "", title);
  }
  if (run.reloadedAt) {
    add(`reloaded at ${run.reloadedAt}`, "", "The page was reloaded there; all was read again");
  }
  const resumed = run.seams.filter((seam) => seam.kind === "resumed");
  if (resumed.length) {
    const times = resumed.length > 1 ? ` (${resumed.length} times)` : "";
    add(`resumed at ${resumed[resumed.length - 1].after}${times}`, "good", "The connection was lost and came back; nothing is missing");
  }
  const attempts = run.terminal?.attempts ?? run.failures.filter(({ next }) => next).length + 1;
  if (attempts > 1) add(`${attempts} attempts`, "warn", "Calls of a model until one answered");
  if (run.restarts) add("restarted", "warn", "The answer began anew; what came before was discarded");
  troubles(run, add);
  return all;
}

/** @param {Run} run @returns {Chip} */
function state(run) {
  const tone = run.state === "failed" || run.state === "lost" ? "bad"
    : run.state === "cancelled" || run.state === "left" || (run.cutOff && !run.isOver) ? "warn"
    : "state"; // prettier-ignore
  return { text: stateWord(run), tone, title: run.id ?? "" };
}

/** @param {Run} run @param {(text: string, tone: Chip["tone"], title?: string) => void} add */
function troubles(run, add) {
  const reason = run.terminal?.finish_reason;
  if (reason && reason !== "stop") add(`stopped: ${reason}`, "warn", "Why the model stopped");
  if (run.seams.some((seam) => seam.kind === "gap")) {
    add("gap", "bad", "The service no longer had some of the events");
  }
  if (run.seams.some((seam) => seam.kind === "hole")) {
    add("events missing", "bad", "The cursors have a hole that nobody has told us of");
  }
  if (run.duplicates) add(`${run.duplicates} duplicates`, "bad", "Events came twice; shown once");
  if (run.digest === "differs") {
    add("text differs", "bad", "This text is not the one whose SHA-256 the service has sent");
  }
}
