/** What this page has asked over HTTP, and what it got: for whoever wants to ask the same. */

/** @import {Http} from "../client/http.js" */

const MOST = 100;

/**
 * @typedef {object} Asked
 * @property {string} method
 * @property {string} path with its query.
 * @property {any} body as sent, as JSON; undefined = none.
 * @property {Record<string, string>} headers but for the key, which is nobody's business.
 * @property {string} status of the last answer, "" while there is none.
 * @property {number} count how often it was asked.
 * @property {number} at when it was last asked, milliseconds since 1970.
 */

/** The newest first; equal ones are one. */
export class Requests extends EventTarget {
  /** @type {Map<string, Asked>} the newest last. */ #all = new Map();

  /** @returns {Asked[]} */
  get list() {
    return [...this.#all.values()].reverse();
  }

  /**
   * @param {{method: string, path: string, body?: any, headers?: Record<string, string>}} asked
   * @returns {(status: string) => void} to be told how it was answered.
   */
  note({ method, path, body, headers = {} }) {
    const key = JSON.stringify([method, path, body ?? null]);
    const count = (this.#all.get(key)?.count ?? 0) + 1;
    /** @type {Asked} */ const made = { method, path, body, headers, status: "", count, at: Date.now() };
    this.#all.delete(key);
    this.#all.set(key, made);
    for (const old of this.#all.keys()) {
      if (this.#all.size <= MOST) break;
      this.#all.delete(old);
    }
    this.#changed();
    return (status) => {
      made.status = status;
      this.#changed();
    };
  }

  /** Note whatever goes through. @param {Http} http */
  watch(http) {
    const respond = http.response.bind(http);
    http.response = async (path, init = {}) => {
      if (path.startsWith("/static/")) return respond(path, init);
      const { Authorization: _, "Content-Type": __, ...headers } = Object.fromEntries(Object.entries(init.headers ?? {}));
      const body = typeof init.body === "string" ? JSON.parse(init.body) : undefined;
      const answered = this.note({ method: init.method ?? "GET", path, body, headers });
      try {
        const response = await respond(path, init);
        answered(String(response.status));
        return response;
      } catch (error) {
        answered(String(/** @type {any} */ (error).problem?.status || "no answer"));
        throw error;
      }
    };
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Those of this page. */
export const requests = new Requests();
