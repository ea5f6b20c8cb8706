/** A run as its reader knows it: events in, text and figures out. No wire and no page in it. */

/** @import {Problem, RunEvent, Sink} from "./client/types.js" */

import { Arrivals } from "./arrivals.js";
import { order } from "./client/cursor.js";
import { compare } from "./client/digest.js";
import { Fold, TERMINAL } from "./client/fold.js";

/**
 * A place in a text where its stream was interrupted.
 *
 * @typedef {object} Seam
 * @property {"resumed"|"gap"|"hole"} kind `gap`: the service no longer had what is missing;
 *   `hole`: it was never told, which is a bug somewhere.
 * @property {string} after the last cursor before it.
 * @property {string} [first] the first cursor behind it.
 */

/** @type {Problem} */
const CUT = {
  title: "The stream ended without an end",
  status: 0,
  detail: "No event said how the run ended, so what is here may be a part. Open it again.",
  code: "cut",
  retryable: true,
};

/** @typedef {"starting"|"queued"|"running"|"completed"|"failed"|"cancelled"|"left"|"lost"} RunState */

/** States that nothing follows. */
export const ENDED = new Set(["completed", "failed", "cancelled", "left", "lost"]);

/** Kinds of events that are a piece of output. */
const OUTPUT = new Set(["text.delta", "reasoning.delta", "item.completed"]);

/** Kinds of events that show that it is queued no more. */
const BUSY = new Set([...OUTPUT, "run.started", "attempt.failed", "step.started", "tool.called"]);

/** @extends {Fold<Seam>} @implements {Sink} */
export class Run extends Fold {
  /** @type {string|null} */ id = null;
  /** @type {RunState} */ state = "starting";
  /** Every event as it came, as JSON text. @type {string[]} */
  events = [];
  arrivals = new Arrivals();
  cursor = "0";
  cutOff = false;
  deltas = 0;
  chars = 0;
  reasoningChars = 0;
  duplicates = 0;
  /** Whether it is out of the history, so that there are no events. */ past = false;
  /** @type {Seam[]} */ seams = [];
  /** @type {number|null} */ firstMs = null;
  /** @type {number|null} */ position = null;
  /** Whether it says an answer of the cache again. */ replayed = false;
  /** Where a reload of the page has taken it up again. @type {string|null} */ reloadedAt = null;
  /** Why it failed, or cannot be read. @type {Problem|null} */ problem = null;
  /** @type {"checking"|"equal"|"differs"|"unchecked"|null} */ digest = null;

  #lastEventMs = 0;
  #lastEventAt = 0;
  #open = false;

  /** Called whenever anything has changed. @type {Set<() => void>} */
  watchers = new Set();

  /**
   * @param {object} [about]
   * @param {string} [about.recipe]
   * @param {string} [about.title]
   * @param {object|null} [about.input] the request, null if somebody else has made it.
   */
  constructor({ recipe = "generate", title = "", input = null } = {}) {
    super();
    this.recipe = recipe;
    this.title = title;
    this.input = input;
  }

  /** Whether nothing more will come. */
  get isOver() {
    return ENDED.has(this.state);
  }

  /** What the reader came for: the answer, not what steps have said. */
  get spoken() {
    return this.text;
  }

  /** What a reader takes away: the answer, or the result where it is more than text. */
  get copied() {
    const { result } = this.terminal ?? {};
    return this.plainText || (result ? JSON.stringify(result, null, 2) : "");
  }

  /** Milliseconds since its creation: up to now, or up to its end. @returns {number} */
  get elapsedMs() {
    if (this.terminal?.timings) return this.terminal.timings.total_ms;
    if (this.isOver || !this.#open) return this.#lastEventMs;
    return this.#lastEventMs + (performance.now() - this.#lastEventAt);
  }

  /** Output tokens as reported by the model, else the number of deltas. */
  get tokens() {
    return this.usage?.output_tokens ?? this.deltas;
  }

  /** Whether it was there at once: nothing about its speed means anything. */
  get instant() {
    return this.replayed && this.terminal?.timings?.total_ms === 0;
  }

  /** Whether `tokens` is what the model has reported. */
  get tokensReported() {
    return this.usage?.output_tokens != null;
  }

  /** Tokens a second since the first one; null while that says nothing. @returns {number|null} */
  get rate() {
    const ms = (this.isOver ? this.arrivals.lastMs : this.elapsedMs) - (this.firstMs ?? 0);
    return this.firstMs === null || ms < 20 || this.deltas < 2 ? null : (this.tokens * 1000) / ms;
  }

  /** @param {{run: string, cache?: string}} reply */
  opened(reply) {
    this.id = reply.run;
    if (reply.cache) this.cache = reply.cache;
    this.cutOff = false;
    this.#lastEventAt ||= performance.now();
    this.#open = true;
    this.#changed();
  }

  severed() {
    this.cutOff = true;
    this.#open = false;
    this.#changed();
  }

  /** @param {string} cursor */
  resumed(cursor) {
    if (cursor !== "0") this.#seam({ kind: "resumed", after: cursor });
    this.#changed();
  }

  /** @param {{after: string, first: string}} gap */
  gap({ after, first }) {
    this.#seam({ kind: "gap", after, first });
    this.cursor = first.replace(/\d+$/, (seq) => String(Number(seq) - 1));
    this.#changed();
  }

  /** @param {Problem} problem */
  refused(problem) {
    this.problem = problem;
    this.state = this.id === null ? "failed" : "lost";
    this.#changed();
  }

  ended() {
    this.cutOff = false;
    if (!this.isOver) this.refused(CUT);
  }

  /** @param {string} raw @param {RunEvent} event */
  receive(raw, event) {
    if (!this.#inOrder(event.id)) return;
    this.cursor = event.id;
    this.events.push(raw);
    this.#lastEventMs = event.t_ms;
    this.#lastEventAt = performance.now();
    this.add(event);
    this.#count(event);
    this.#settle(event);
    this.#changed();
  }

  /** @param {string} title */
  rename(title) {
    this.title = title;
    this.#changed();
  }

  /** Others still want the run; this reader does not. */
  leave() {
    this.state = "left";
    this.#changed();
  }

  /** @param {string} id @returns {boolean} false for what was there before. */
  #inOrder(id) {
    const place = order(this.cursor, id);
    if (place === "seen") this.duplicates += 1;
    if (place === "hole") this.#seam({ kind: "hole", after: this.cursor, first: id });
    return place !== "seen";
  }

  /** @param {RunEvent} event */
  #count({ type, t_ms, text = "", step }) {
    if (type === "run.restarted") {
      this.chars = this.reasoningChars = this.deltas = 0;
      this.firstMs = null;
    }
    if (!OUTPUT.has(type)) return;
    this.deltas += 1;
    this.firstMs ??= t_ms;
    this.arrivals.add(t_ms);
    if (type === "reasoning.delta") this.reasoningChars += text.length;
    else if (!step) this.chars += text.length;
  }

  /** @param {RunEvent} event */
  #settle(event) {
    const { type } = event;
    if (BUSY.has(type)) this.state = "running";
    if (type === "run.started") this.replayed = event.cache === "hit";
    if (type === "run.queued") {
      this.state = "queued";
      this.position = event.position ?? null;
    }
    if (type === "run.failed") this.problem = event.error ?? null;
    if (!TERMINAL.has(type)) return;
    this.state = /** @type {RunState} */ (type.replace("run.", ""));
    if (type === "run.completed") void this.#check(event.text_sha256 ?? "");
  }

  /** Whether the text is what the service has sent. @param {string} sha256 */
  async #check(sha256) {
    this.digest = "checking";
    this.digest = await compare(this.plainText, sha256);
    this.#changed();
  }

  /** @param {Seam} seam */
  #seam(seam) {
    this.seams.push(seam);
    this.arrivals.mark();
    const thinking = this.reasoning.length && !this.text.length;
    (thinking ? this.reasoning : this.text).push(seam);
  }

  #changed() {
    for (const watcher of this.watchers) watcher();
  }
}
