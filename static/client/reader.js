/** The events of one run, each once and in order, for who asks for them one by one. */

/** @import {Feed, Problem, RunEvent, Sink} from "./types.js" */

import { order } from "./cursor.js";
import { TERMINAL } from "./fold.js";
import { CLOSED, StreamError } from "./problem.js";

const HELD_EVENTS = 4096; // with more that wait, the stream is left until they are read
const LEAVE_MS = 5_000;

/** @implements {Sink} */
export class Reader {
  run = "";
  /** @type {string|null} */ cache = null;
  /** Of the last event that was given. */ cursor;
  /** How often it was read on after a loss. */ resumes = 0;
  /** Whether it is read from its beginning. */ whole;
  /** Whether everything was given. */ over = false;

  /** @type {RunEvent[]} */ #waiting = [];
  /** Of the last event that has arrived. */ #arrived;
  #ended = false;
  #paused = false;
  /** What is thrown when everything that has arrived was given. @type {unknown} */ #failure = null;
  /** @type {Feed|null} */ #feed = null;
  /** @type {Promise<void>|null} */ #closing = null;
  /** @type {(() => void)[]} */ #wakers = [];

  /**
   * @param {(sink: Sink) => Feed} open
   * @param {object} how
   * @param {string} how.after the cursor it is read behind.
   * @param {boolean} how.owned whether it was started here, so that leaving it cancels it.
   * @param {AbortSignal} [how.signal] leaves it.
   */
  constructor(open, { after, owned, signal }) {
    this.open = open;
    this.owned = owned;
    this.signal = signal;
    this.after = this.cursor = this.#arrived = after;
    this.whole = after === "0";
  }

  /** Open the run. @throws {StreamError} the service refuses, or cannot be reached. */
  async begin() {
    this.#begin();
    while (!this.run && !this.#failure && !this.#ended) await this.#change();
    if (!this.run && this.#failure) throw this.#failure;
  }

  /** @returns {Promise<RunEvent|null>} the next event; null when nothing follows. @throws what it failed with. */
  async next() {
    this.#begin();
    for (;;) {
      const event = this.#waiting.shift();
      if (event) return this.#given(event);
      if (this.over) return null;
      if (this.#failure) throw this.#failure;
      if (this.#ended) return this.#endless();
      if (this.#paused) {
        this.#paused = false;
        this.#feed?.resume(this.cursor);
      }
      await this.#change();
    }
  }

  /** Leave; a run that was started here and has not ended is cancelled. Never fails. */
  close() {
    this.#closing ??= this.#leave();
    return this.#closing;
  }

  /** @param {{run: string, cache?: string}} reply */
  opened({ run, cache }) {
    this.run = run;
    this.cache ??= cache ?? null;
    this.#wake();
  }

  /** @param {string} _raw @param {RunEvent} event */
  receive(_raw, event) {
    const place = order(this.#arrived, event.id);
    if (this.#paused || place === "seen") return;
    if (place === "hole") {
      this.#fail(new EventsLost(this.#arrived, event.id, this.run));
      return;
    }
    this.#arrived = event.id;
    this.#waiting.push(event);
    if (TERMINAL.has(event.type)) this.#ended = true;
    else if (this.#waiting.length >= HELD_EVENTS) this.#hold();
    this.#wake();
  }

  severed() {}

  resumed() {
    this.resumes += 1;
  }

  /** @param {{after: string, first: string}} gap */
  gap({ after, first }) {
    this.#fail(new EventsLost(after, first, this.run));
  }

  /** @param {Problem} problem */
  refused(problem) {
    this.#feed = null;
    this.#fail(new StreamError(problem));
  }

  ended() {
    this.#ended = true;
    this.#wake();
  }

  #begin() {
    if (this.#feed || this.#failure || this.#ended || this.over) return;
    if (this.signal?.aborted) {
      this.#aborted();
      return;
    }
    this.signal?.addEventListener("abort", this.#aborted);
    this.#feed = this.open(this);
  }

  #aborted = () => {
    if (this.over) return;
    this.#waiting.length = 0;
    this.#fail(this.signal?.reason ?? new StreamError(CLOSED));
    void this.close();
  };

  /** @param {RunEvent} event */
  #given(event) {
    this.cursor = event.id;
    this.over = TERMINAL.has(event.type);
    return event;
  }

  /** Nothing follows, and no event has said how the run ended. */
  #endless() {
    this.over = true;
    if (!this.whole && this.cursor === this.after) return null; // it was read from behind the end
    throw new EventsLost(this.cursor, null, this.run);
  }

  async #leave() {
    const feed = this.#feed;
    this.#feed = null;
    this.signal?.removeEventListener("abort", this.#aborted);
    if (!this.over) {
      this.#waiting.length = 0; // or it would depend on the moment what is still given
      this.#fail(new StreamError(CLOSED));
    }
    if (!feed || this.#ended) return; // the service ends it by itself
    if (!this.owned) {
      feed.close();
      return;
    }
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, LEAVE_MS);
    });
    // Who cannot be told that a run is not wanted finds it abandoned.
    await Promise.race([feed.abandon().catch(() => {}), late]);
    clearTimeout(timer);
  }

  #hold() {
    this.#paused = true;
    this.#feed?.pause();
  }

  /** @param {unknown} error */
  #fail(error) {
    this.signal?.removeEventListener("abort", this.#aborted);
    this.#failure ??= error;
    this.#wake();
  }

  /** @returns {Promise<void>} when anything is different. */
  #change() {
    return new Promise((resolve) => this.#wakers.push(resolve));
  }

  #wake() {
    for (const waker of this.#wakers.splice(0)) waker();
  }
}

/** The service has lost a part of a run, so what was read is not the whole of it. */
export class EventsLost extends StreamError {
  /** @param {string} after the cursor before what is lost. @param {string|null} first the first one there is again. @param {string} run */
  constructor(after, first, run) {
    super({
      title: "A part of the run is lost",
      status: 0,
      detail: first ? `What was between ${after} and ${first} is lost.` : "The run has ended, and its end did not arrive.",
      code: "events_lost",
      retryable: false,
      run,
    });
    this.after = after;
    this.first = first;
  }
}
