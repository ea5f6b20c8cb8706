/** One run as who asked for it reads it: text, finished pieces, events, the whole answer. */

/** @import {Answer, Feed, Piece, Problem, RunEvent, Sink, ToolCall} from "./types.js" */

import { compare } from "./digest.js";
import { Fold } from "./fold.js";
import { StreamError } from "./problem.js";
import { Reader } from "./reader.js";

/** @typedef {{onRestart?: () => void}} Restarts called when what was given is void, and the answer begins anew. */

/**
 * Reads one run; whatever is asked of it, the same events are read, each once. It begins with the
 * first thing that is asked of it. A loop that is left before the end closes it.
 */
export class Stream {
  #reader;
  #fold = new Fold();
  #given = false; // whether `text` or `items` has given what a restart would make void
  /** @type {"equal"|"unchecked"|null} */ #checked = null;

  /**
   * @param {(sink: Sink) => Feed} open
   * @param {object} how
   * @param {string} how.after the cursor it is read behind.
   * @param {boolean} how.owned whether it was started here, so that leaving it cancels it.
   * @param {AbortSignal} [how.signal] leaves it; what is being read then throws the signal's reason.
   */
  constructor(open, how) {
    this.#reader = new Reader(open, how);
  }

  /** The run's id, "" before it is open. */
  get run() {
    return this.#reader.run;
  }

  /** How the cache took part: `miss`, `hit`, `joined` or `bypass`; null before it is known. */
  get cache() {
    return this.#reader.cache ?? this.#fold.cache;
  }

  /** Of the last event that was read. */
  get cursor() {
    return this.#reader.cursor;
  }

  /** How often it was read on after a loss. */
  get resumes() {
    return this.#reader.resumes;
  }

  /**
   * Begin, and wait until the service has the run. Without it, the first thing that is read does.
   *
   * @returns {Promise<this>}
   * @throws {StreamError} the service refuses, or cannot be reached.
   */
  async open() {
    await this.#reader.begin();
    return this;
  }

  /** Leave. A run that was started here is cancelled, unless it has ended or others want it. Never fails. */
  close() {
    return this.#reader.close();
  }

  /** `await using stream = client.generate(...)` closes it. */
  [Symbol.asyncDispose]() {
    return this.close();
  }

  /**
   * Every event, the terminal one included; docs/protocol.md says what they say.
   *
   * @returns {AsyncGenerator<RunEvent, void, undefined>}
   * @throws {StreamError} the run failed or was cancelled, told after its terminal event was given; or
   *   what arrived cannot be trusted, see docs/javascript.md.
   */
  async *events() {
    try {
      for (let event = await this.#reader.next(); event; event = await this.#reader.next()) {
        this.#fold.add(event);
        yield event;
        await this.#judge(event);
      }
    } finally {
      await this.close();
    }
  }

  /**
   * The answer, piece by piece.
   *
   * @param {Restarts} [options] without `onRestart` an answer that begins anew is an error.
   * @returns {AsyncGenerator<string, void, undefined>}
   * @throws {StreamError} as `events` does.
   */
  async *text({ onRestart } = {}) {
    for await (const event of this.events()) {
      if (event.type === "text.delta" && !event.step) {
        this.#given = true;
        yield event.text ?? "";
      } else if (event.type === "run.restarted") {
        this.#void(onRestart);
      }
    }
  }

  /**
   * Finished pieces of the result, each when it is there: criteria at `criteria/0`, tasks at `tasks/0`.
   *
   * @param {Restarts} [options] as of `text`.
   * @returns {AsyncGenerator<Piece, void, undefined>}
   * @throws {StreamError} as `events` does.
   */
  async *items({ onRestart } = {}) {
    for await (const event of this.events()) {
      if (event.type === "item.completed") {
        this.#given = true;
        yield { path: event.path ?? "", value: event.value };
      } else if (event.type === "run.restarted") {
        this.#void(onRestart);
      }
    }
  }

  /**
   * Read what is left, to the end; the whole answer.
   *
   * @returns {Promise<Answer>}
   * @throws {StreamError} as `events` does.
   */
  async result() {
    for await (const _ of this.events());
    const fold = this.#fold;
    const end = fold.terminal;
    if (!end || !this.#reader.whole) throw new StreamError({ ...PART, run: this.run });
    await this.#judge(end);
    return {
      run: this.run,
      recipe: fold.recipe,
      model: fold.model,
      text: fold.plainText,
      result: end.result,
      items: fold.items,
      reasoning: fold.reasoning.join(""),
      toolCalls: fold.tools.map(callOf),
      finishReason: end.finish_reason,
      usage: end.usage,
      cache: this.cache,
      timings: end.timings,
      attempts: end.attempts,
      checked: this.#checked === "equal",
    };
  }

  /** Throw unless this event can be trusted, and is no bad end. @param {RunEvent} event */
  async #judge(event) {
    const { run } = this;
    if (event.type === "run.failed") throw new StreamError({ run, .../** @type {Problem} */ (event.error) });
    if (event.type === "run.cancelled") {
      throw new StreamError({ ...CANCELLED, detail: `Why: ${event.reason}.`, run });
    }
    if (event.type !== "run.completed" || !this.#reader.whole || this.#checked) return;
    const verdict = await compare(this.#fold.plainText, event.text_sha256 ?? "");
    if (verdict === "differs") throw new StreamError({ ...DIFFERS, run });
    this.#checked = verdict;
  }

  /** @param {(() => void)|undefined} onRestart */
  #void(onRestart) {
    const given = this.#given;
    this.#given = false;
    if (!given) return;
    if (!onRestart) throw new StreamError({ ...RESTARTED, run: this.run });
    onRestart();
  }
}

const PART = {
  title: "The answer is not whole",
  status: 0,
  detail: "It was not read from its beginning.",
  code: "events_lost",
  retryable: false,
};

const CANCELLED = { title: "The run was cancelled", status: 409, code: "run_cancelled", retryable: false };

const DIFFERS = {
  title: "The text differs",
  status: 0,
  detail: "The text that arrived is not the text that was sent, by its SHA-256.",
  code: "text_differs",
  retryable: false,
};

const RESTARTED = {
  title: "The answer began anew",
  status: 0,
  detail: "What was read so far is void. Give `onRestart` to go on.",
  code: "answer_restarted",
  retryable: false,
};

/** A call as a request takes it back. @param {any} event @returns {ToolCall} */
function callOf({ tool_call_id, name, arguments: given, provider_metadata }) {
  const call = { tool_call_id, name, arguments: given };
  return provider_metadata === undefined ? call : { ...call, provider_metadata };
}
