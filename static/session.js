/** What a reload needs: the open runs of this tab and how far each was read. */

const KEY = "llm-stream.runs";
const SAVE_MS = 300;

/**
 * @typedef {object} SavedRun
 * @property {string} id
 * @property {string} recipe
 * @property {string} title
 * @property {object|null} input the request, if this tab has made it and it was not too long.
 * @property {string|null} cache
 * @property {string} cursor
 */

/** `sessionStorage`, written a few times a second at most and when the tab is left. */
export class Session {
  #timer = 0;

  /** @param {() => SavedRun[]} collect the open runs, newest first. */
  constructor(collect) {
    this.collect = collect;
    addEventListener("pagehide", () => this.save());
  }

  /** @returns {SavedRun[]} */
  load() {
    try {
      const runs = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
      return Array.isArray(runs) ? runs.filter((run) => typeof run?.id === "string") : [];
    } catch {
      return []; // storage is switched off, or was written by something else
    }
  }

  /** Save soon. */
  touch() {
    this.#timer ||= setTimeout(() => this.save(), SAVE_MS);
  }

  /** Save now; without the requests if they are too long for the browser. */
  save() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const runs = this.collect();
    try {
      sessionStorage.setItem(KEY, JSON.stringify(runs));
    } catch {
      try {
        sessionStorage.setItem(KEY, JSON.stringify(runs.map((run) => ({ ...run, input: null }))));
      } catch {
        // Storage is switched off: a reload begins with an empty page.
      }
    }
  }
}
