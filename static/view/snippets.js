/** A request as a program would make it: curl, Python, JavaScript. A key is named, never shown. */

import { javascript } from "./javascript.js";
import { python } from "./python.js";

/** @typedef {{title: string, text: string}} Snippet */
/** @typedef {{method: string, path: string, body?: any, headers?: Record<string, string>}} Call */

/**
 * What a client library has a word for.
 *
 * @typedef {object} Known
 * @property {string} name of the library's method; "" = it has none.
 * @property {string} subject the recipe or the run it is about.
 * @property {Record<string, string>} query
 */

/** @type {[RegExp, string][]} */
const KINDS = [
  [/^POST \/v1\/(generate|evaluate|breakdown|reason|batch)$/, "run"],
  [/^GET \/v1\/runs\/([^/]+)\/events$/, "follow"],
  [/^POST \/v1\/runs\/([^/]+)\/cancel$/, "cancel"],
  [/^GET \/v1\/runs\/([^/]+)$/, "snapshot"],
  [/^GET \/v1\/(?:runs)$/, "runs"],
  [/^GET \/v1\/(?:models)$/, "models"],
  [/^GET \/v1\/(?:templates)$/, "templates"],
  [/^GET \/v1\/(?:usage)$/, "usage"],
  [/^POST \/v1\/cache\/(?:invalidate)$/, "invalidate"],
];

/** @param {Call} call @returns {Known} */
export function known({ method, path }) {
  const [plain, query = ""] = path.split("?");
  for (const [pattern, name] of KINDS) {
    const found = pattern.exec(`${method} ${plain}`);
    if (found) return { name, subject: decodeURIComponent(found[1] ?? ""), query: Object.fromEntries(new URLSearchParams(query)) };
  }
  return { name: "", subject: "", query: {} };
}

/**
 * @param {string} origin scheme, host and port of the service.
 * @param {Call} call
 * @param {boolean} keyed whether the service wants a client key.
 * @returns {Snippet[]}
 */
export function snippets(origin, call, keyed) {
  return [
    { title: "curl", text: curl(origin, call, keyed) },
    { title: "Python", text: python(origin, call, known(call), keyed) },
    { title: "JavaScript", text: javascript(origin, call, known(call), keyed) },
  ];
}

/** @param {string} origin @param {Call} call @param {boolean} keyed */
function curl(origin, call, keyed) {
  const { method, path, body, headers = {} } = call;
  const streams = ["run", "follow"].includes(known(call).name);
  const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = [`curl ${streams ? "-N " : ""}${method === "GET" || body !== undefined ? "" : `-X ${method} `}${quoted(origin + path)}`];
  if (keyed) parts.push('-H "Authorization: Bearer $LLM_STREAM_KEY"');
  if (streams) parts.push("-H 'Accept: text/event-stream'");
  for (const [name, value] of Object.entries(headers)) {
    if (!(streams && name === "Accept")) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body, null, 2))}`);
  return `${parts.join(" \\\n  ")}\n`;
}
