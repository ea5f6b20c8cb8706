/** Why something failed: the service's own explanations, and our own told in the same shape. */

/** @import {ClientCode, Problem, ServiceCode} from "./types.js" */

/** What everything here fails with: a problem of the service's (docs/errors.md), or one of the client's own. */
export class StreamError extends Error {
  /** @param {Problem} problem @param {ErrorOptions} [options] */
  constructor(problem, options) {
    super(`${problem.title}. ${problem.detail}`, options);
    this.name = "StreamError";
    /** All that was told. */
    this.problem = problem;
    /** Stable, for programs. */
    this.code = /** @type {ServiceCode|ClientCode} */ (problem.code);
    /** Of HTTP; 0 if no service has answered. */
    this.status = problem.status;
    /** One or two sentences for people: what is wrong and what to do. */
    this.detail = problem.detail;
    /** Whether the same request may succeed later. */
    this.retryable = problem.retryable;
    /** When, if the service knows. */
    this.retryAfterMs = problem.retry_after_ms ?? null;
    /** Path of the request field at fault. */
    this.field = problem.field ?? null;
    /** The run concerned. */
    this.run = problem.run ?? null;
    /** Finds the request in the service's log. */
    this.request = problem.request ?? null;
    /** HTTP status of the model's provider. */
    this.upstreamStatus = problem.upstream_status ?? null;
  }
}

/**
 * The problem an error stands for; what did not come from the service is told in the same shape.
 *
 * @param {unknown} error
 * @returns {Problem}
 */
export function asProblem(error) {
  if (error instanceof StreamError) return error.problem;
  const { message, cause } = error instanceof Error ? error : { message: String(error), cause: null };
  return unreachable(cause instanceof Error && cause.message ? cause.message : message);
}

/**
 * The problem in a response that is not 2xx.
 *
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
export async function problemOf(response) {
  if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    try {
      return await response.json();
    } catch {
      // It broke off: what is known is its status.
    }
  }
  const after = response.headers.get("Retry-After") ?? "";
  return {
    title: `HTTP ${response.status}`,
    status: response.status,
    detail: "The answer did not come from llm-stream; is a proxy in between?",
    code: PASSING.has(response.status) ? "unreachable" : "unexpected_answer",
    // What a proxy says when the service is gone for a moment is as good as no connection.
    retryable: PASSING.has(response.status),
    ...(/^\d+$/.test(after) && { retry_after_ms: 1000 * Number(after) }),
  };
}

const PASSING = new Set([429, 502, 503, 504]);

/** @param {string} detail @returns {Problem} */
export function unreachable(detail) {
  return { title: "The service could not be reached", status: 0, detail, code: "unreachable", retryable: true };
}

/** @type {Problem} */
export const CONNECTION_LOST = {
  title: "The connection was lost",
  status: 0,
  detail: "It broke before the service had answered. Try again.",
  code: "unreachable",
  retryable: true,
};

/** @param {string} detail @returns {Problem} */
export function unexpected(detail) {
  return { title: "The answer is not llm-stream's", status: 0, detail, code: "unexpected_answer", retryable: false };
}

/** @type {Problem} */
export const CLOSED = {
  title: "The stream was closed",
  status: 0,
  detail: "It, or its client, was closed before its end.",
  code: "client_closed",
  retryable: false,
};

/** What the close code 4401 says. @type {Problem} */
export const UNAUTHENTICATED = {
  title: "A client key is needed",
  status: 401,
  detail: "The service asks for a client key, and this one is missing, unknown, expired or revoked.",
  code: "unauthenticated",
  retryable: false,
};

/** What a close of the socket says that is not to be tried again. @param {number} code @param {string} reason @returns {Problem} */
export function closedFor(code, reason) {
  if (code === 4401) return UNAUTHENTICATED;
  return {
    title: "The service has closed the socket",
    status: code - 4000,
    detail: `Its close code is ${code}; docs/protocol.md says what that means.`,
    code: reason || "malformed_request",
    retryable: code === 4429,
  };
}

/** @param {number} bytes @param {number} limit @returns {Problem} */
export function tooLarge(bytes, limit) {
  return {
    title: "The request is too large for the socket",
    status: 413,
    detail: `It has ${bytes} bytes; ${limit} are allowed. Send it over SSE.`,
    code: "payload_too_large",
    retryable: false,
  };
}
