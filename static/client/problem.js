/** Why something failed: problems of the service, and our own told in the same shape. */

/** @import {Problem} from "./types.js" */

/** A request that failed, with the service's own explanation. */
export class ProblemError extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(`${problem.title}. ${problem.detail}`);
    this.name = "ProblemError";
    this.problem = problem;
  }
}

/**
 * The problem an error stands for; what did not come from the service is told in the same shape.
 *
 * @param {unknown} error
 * @returns {Problem}
 */
export function asProblem(error) {
  if (error instanceof ProblemError) return error.problem;
  return {
    title: "The service could not be reached",
    status: 0,
    detail: error instanceof Error ? error.message : String(error),
    code: "unreachable",
    retryable: true,
  };
}

/**
 * The problem in a response that is not 2xx.
 *
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
export async function problemOf(response) {
  if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    return response.json();
  }
  return {
    title: `HTTP ${response.status}`,
    status: response.status,
    detail: "The answer did not come from llm-stream; is a proxy in between?",
    code: "unexpected_answer",
    retryable: response.status >= 500,
  };
}

/** @type {Problem} */
export const CONNECTION_LOST = {
  title: "The connection was lost",
  status: 0,
  detail: "It broke before the service had answered. Try again.",
  code: "connection_lost",
  retryable: true,
};

/** What the close code 4401 says. @type {Problem} */
export const UNAUTHENTICATED = {
  title: "A client key is needed",
  status: 401,
  detail: "The service asks for a client key, and this one is missing, unknown, expired or revoked.",
  code: "unauthenticated",
  retryable: false,
};

/** @param {number} bytes @param {number} limit @returns {Problem} */
export function tooLarge(bytes, limit) {
  return {
    title: "The request is too large for the socket",
    status: 413,
    detail: `It has ${bytes} bytes; ${limit} are allowed. Send it with POST /v1/generate.`,
    code: "payload_too_large",
    retryable: false,
  };
}
