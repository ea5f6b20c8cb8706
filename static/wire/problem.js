/** What the page's calls fail with: what the client's do. */

export { StreamError as ProblemError, asProblem } from "../client/problem.js";
