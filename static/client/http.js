/** HTTP to the service, with the client key: every failure is a problem. */

/** @import {Problem} from "./types.js" */

import { ProblemError, problemOf } from "./problem.js";

const JSON_TYPE = "application/json";

/** One service, and who asks it. */
export class Http {
  /**
   * @param {string} url the service's address, without a path.
   * @param {object} about
   * @param {string} [about.key] the client key to show, "" for none.
   * @param {(problem: Problem) => void} about.unauthenticated told of every 401.
   */
  constructor(url, { key = "", unauthenticated }) {
    this.url = url.replace(/\/+$/, "");
    this.key = key;
    this.unauthenticated = unauthenticated;
  }

  /**
   * @param {string} path with its query.
   * @param {RequestInit} [init]
   * @returns {Promise<Response>} of a status below 400.
   * @throws {ProblemError} the service refused; `TypeError`: it could not be reached.
   */
  async response(path, init = {}) {
    const headers = new Headers(init.headers);
    if (this.key) headers.set("Authorization", `Bearer ${this.key}`);
    const response = await fetch(this.url + path, { ...init, headers });
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status === 401) this.unauthenticated(problem);
    throw new ProblemError(problem);
  }

  /**
   * @param {"GET"|"POST"|"DELETE"} method
   * @param {string} path with its query.
   * @param {object} [body] sent as JSON.
   * @param {Record<string, string>} [headers]
   * @returns {Promise<any>} the decoded JSON; see `response` for errors.
   */
  async call(method, path, body, headers = {}) {
    /** @type {RequestInit} */ const init = { method, headers };
    if (body !== undefined) {
      init.headers = { ...headers, "Content-Type": JSON_TYPE };
      init.body = JSON.stringify(body);
    }
    return (await this.response(path, init)).json();
  }

  /**
   * What opens one socket in place of the key, which a page cannot send there.
   *
   * @returns {Promise<string>} a subprotocol to ask for, within 30 seconds.
   */
  async ticket() {
    return (await this.call("POST", "/v1/tickets")).subprotocol;
  }
}
