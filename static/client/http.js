/** HTTP to the service, with the client key: every failure is a `StreamError`. */

/** @import {Problem} from "./types.js" */

import { CLOSED, StreamError, asProblem, problemOf, unexpected } from "./problem.js";

const JSON_TYPE = "application/json";

/** @typedef {{subprotocol: string}} Ticket what `POST /v1/tickets` answers. */

/** One service, and who asks it. */
export class Http {
  /** Whether nothing is to be asked any more. */ closed = false;

  /**
   * @param {string} url the service's address, without a path.
   * @param {object} about
   * @param {string} about.key the client key to show, "" for none.
   * @param {number} about.silenceMs how long an answer may take.
   * @param {(() => Promise<Ticket>)|null} about.ticket gets a ticket where there is no key.
   * @param {(problem: Problem) => void} about.unauthenticated told of every 401.
   */
  constructor(url, { key, silenceMs, ticket, unauthenticated }) {
    this.url = url.replace(/\/+$/, "");
    this.key = key;
    this.silenceMs = silenceMs;
    this.unauthenticated = unauthenticated;
    this.getTicket = ticket;
  }

  /** Whether a socket needs a ticket to be opened. */
  get needsTicket() {
    return Boolean(this.key || this.getTicket);
  }

  /**
   * @param {string} path with its query.
   * @param {RequestInit} [init] its signal ends the request, and the error is then the signal's reason.
   * @returns {Promise<Response>} of a 2xx status.
   * @throws {StreamError} the service refused, or could not be reached.
   */
  async response(path, init = {}) {
    if (this.closed) throw new StreamError(CLOSED);
    const headers = new Headers(init.headers);
    if (this.key) headers.set("Authorization", `Bearer ${this.key}`);
    const response = await reached(fetch(this.url + path, { ...init, headers }), init.signal);
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status === 401) this.unauthenticated(problem);
    throw new StreamError(problem);
  }

  /**
   * @param {"GET"|"POST"|"DELETE"} method
   * @param {string} path with its query.
   * @param {object} [body] sent as JSON.
   * @param {Record<string, string>} [headers]
   * @param {number} [ms] how long the whole of it may take.
   * @returns {Promise<any>} the decoded JSON.
   * @throws {StreamError} the service refused, or could not be reached.
   */
  async call(method, path, body, headers = {}, ms = this.silenceMs) {
    /** @type {RequestInit} */ const init = { method, headers, ...bodyOf(body, headers) };
    const tooLong = new AbortController();
    const reason = new StreamError(asProblem(`No answer within ${ms} ms.`));
    const timer = setTimeout(() => tooLong.abort(reason), ms);
    try {
      const response = await this.response(path, { ...init, signal: tooLong.signal });
      const text = await reached(response.text(), tooLong.signal);
      return JSON.parse(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new StreamError(unexpected("It is no JSON."), { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * What opens one socket in place of the key, which a page cannot send there.
   *
   * @returns {Promise<string>} a subprotocol to ask for, within 30 seconds.
   */
  async ticket() {
    const given = await (this.getTicket?.() ?? this.call("POST", "/v1/tickets"));
    if (/^ticket\.[\w-]+$/.test(given?.subprotocol)) return given.subprotocol;
    throw new StreamError(unexpected("It is no ticket of POST /v1/tickets."));
  }
}

/** @param {object|undefined} body @param {Record<string, string>} headers @returns {RequestInit} */
export function bodyOf(body, headers) {
  if (body === undefined) return {};
  return { headers: { ...headers, "Content-Type": JSON_TYPE }, body: JSON.stringify(body) };
}

/**
 * What a network promises, its failures in our words.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal|null} [signal]
 * @returns {Promise<T>}
 */
export async function reached(promise, signal) {
  try {
    return await promise;
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new StreamError(asProblem(error), { cause: error });
  }
}
