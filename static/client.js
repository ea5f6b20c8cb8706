/**
 * The JavaScript client of a service: `import { Client } from ".../client.js"`. For browsers and
 * Node 20 and later, without dependencies; docs/javascript.md shows how it is used.
 */

/** @import {LinkState, Problem, Sink} from "./client/types.js" */
/** @import {Ticket} from "./client/http.js" */

import { Http } from "./client/http.js";
import { Patience } from "./client/patience.js";
import { CLOSED, StreamError } from "./client/problem.js";
import { EventsLost } from "./client/reader.js";
import { Stream } from "./client/stream.js";
import { SocketWire, SseWire } from "./client/wires.js";

export { EventsLost, Stream, StreamError };

/** @typedef {Record<string, any>} Body fields of a request, see docs/api-recipes.md. */
/** @typedef {{signal?: AbortSignal}} Options `signal` leaves the stream, which cancels a run that was started here. */

/** @typedef {{link: LinkState, unauthenticated: Problem}} ClientEvents what its events tell, as `detail`. */

/**
 * @typedef {object} ClientOptions
 * @property {string} [key] the client key: sent with every request, and changed into a ticket for every
 *   connection of the socket.
 * @property {"sse"|"websocket"} [wire] `sse`: a connection a stream; `websocket`: one for all.
 * @property {number} [patienceMs] how long failing attempts are made again, counted from the last that
 *   did not fail; 0 = not at all.
 * @property {number} [connectMs] how long a socket may take until the service says welcome.
 * @property {number} [silenceMs] how long an answer may take, and a stream over SSE be silent; longer than
 *   the service's heartbeats are apart (`server.heartbeat_seconds`, 15).
 * @property {() => Promise<Ticket>} [ticket] gets what `POST /v1/tickets` answers where the key is not to be
 *   known: from your own server, say.
 * @property {typeof globalThis.WebSocket} [WebSocket] where the platform has none (Node before 22).
 */

/**
 * Asks one service and reads what it answers. Streams resume by themselves after lost connections
 * and restarts of the service, behind the last event they have read.
 *
 * Events: `unauthenticated` when a request or the socket was refused for want of a key that holds
 * (`detail` is the problem), `link` when the state of the socket changes (`detail` is a `LinkState`).
 */
export class Client extends EventTarget {
  #patienceMs;
  /** The socket's wire, whether or not streams use it. */ #sockets;
  #wire;

  /**
   * @param {string} [url] the service's address, without a path; may be left out in a page that it serves.
   * @param {ClientOptions} [options]
   */
  constructor(url = globalThis.location?.origin, options = {}) {
    super();
    const { key = "", wire = "sse", ticket = null, patienceMs = 120_000, connectMs = 10_000, silenceMs = 40_000 } = options;
    if (wire === "websocket" && !(options.WebSocket ?? globalThis.WebSocket)) {
      throw new TypeError("There is no WebSocket here. Give a class as `WebSocket`, or read over SSE.");
    }
    const address = new URL(url);
    if (!/^https?:$/.test(address.protocol) || address.username || address.password) {
      throw new TypeError("The address is to be http(s)://host[:port]; a client key is given as `key`.");
    }
    this.http = new Http(String(address), {
      key,
      silenceMs,
      ticket,
      unauthenticated: (problem) => this.#tell("unauthenticated", problem),
    });
    this.#patienceMs = patienceMs;
    const changed = (/** @type {LinkState} */ state) => this.#tell("link", state);
    this.#sockets = new SocketWire(this.http, changed, { connectMs, WebSocket: options.WebSocket });
    this.#wire = wire === "sse" ? new SseWire(this.http) : this.#sockets;
  }

  /**
   * @template {keyof ClientEvents} Name
   * @param {Name} name
   * @param {(event: CustomEvent<ClientEvents[Name]>) => void} listener
   * @param {boolean|AddEventListenerOptions} [options]
   * @override
   */
  // @ts-expect-error - it knows its own events only, and what they tell
  addEventListener(name, listener, options) {
    super.addEventListener(name, /** @type {EventListener} */ (listener), options);
  }

  /** The socket itself, for who would rather be told than ask. */
  get socket() {
    return this.#sockets.socket;
  }

  /** The client key, "" for none. */
  get key() {
    return this.http.key;
  }

  /** Another key, for whatever is asked from now on; a socket that was refused is opened anew. */
  set key(key) {
    this.http.key = key;
    if (this.socket.link.state.name === "refused") this.socket.link.retry();
  }

  /** Text, or with `schema` a structured answer. @param {Body} body of POST /v1/generate. @param {Options} [options] */
  generate(body, options) {
    return this.start("generate", body, options);
  }

  /** Whether a stage is sufficient. @param {Body} body of POST /v1/evaluate. @param {Options} [options] */
  evaluate(body, options) {
    return this.start("evaluate", body, options);
  }

  /** A plan of tasks. @param {Body} body of POST /v1/breakdown. @param {Options} [options] */
  breakdown(body, options) {
    return this.start("breakdown", body, options);
  }

  /** An answer in several steps. @param {Body} body of POST /v1/reason. @param {Options} [options] */
  reason(body, options) {
    return this.start("reason", body, options);
  }

  /** Many requests at once; each result is an item. @param {Body} body of POST /v1/batch. @param {Options} [options] */
  batch(body, options) {
    return this.start("batch", body, options);
  }

  /**
   * A run of any recipe, started when something of the stream is read.
   *
   * @param {string} recipe
   * @param {Body} body
   * @param {Options} [options]
   */
  start(recipe, body, { signal } = {}) {
    const open = (/** @type {Sink} */ sink) => this.#open().start({ recipe, input: body }, sink, this.#patience());
    return new Stream(open, { after: "0", owned: true, signal });
  }

  /**
   * A run that somebody else has started, behind a cursor; leaving it does not cancel it.
   *
   * @param {string} run
   * @param {Options & {after?: string}} [options] `after`: a cursor, `"0"` or `"now"`.
   */
  follow(run, { after = "0", signal } = {}) {
    const open = (/** @type {Sink} */ sink) => this.#open().follow(run, after, sink, this.#patience());
    return new Stream(open, { after, owned: false, signal });
  }

  /**
   * GET /v1/runs: `{runs, total}`, newest first. This and the calls below are made once.
   *
   * @param {Record<string, string|number|boolean>} [query] `limit`, `state`, ...
   * @returns {Promise<any>}
   * @throws {StreamError} what the service refuses with.
   */
  runs(query = {}) {
    return this.http.call("GET", `/v1/runs${queryOf(query)}`);
  }

  /** What there is of a run now. @param {string} run @returns {Promise<any>} GET /v1/runs/{id}. */
  snapshot(run) {
    return this.http.call("GET", `/v1/runs/${encodeURIComponent(run)}`);
  }

  /**
   * Want a run no more.
   *
   * @param {string} run
   * @returns {Promise<{state: string, shared: boolean}>} `shared`: others still want it.
   */
  cancel(run) {
    return this.http.call("POST", `/v1/runs/${encodeURIComponent(run)}/cancel`);
  }

  /** @returns {Promise<any>} GET /v1/models. */
  models() {
    return this.http.call("GET", "/v1/models");
  }

  /** @returns {Promise<any>} GET /v1/templates. */
  templates() {
    return this.http.call("GET", "/v1/templates");
  }

  /** @param {Record<string, string>} [query] `group_by`, `since`. @returns {Promise<any>} GET /v1/usage. */
  usage(query = {}) {
    return this.http.call("GET", `/v1/usage${queryOf(query)}`);
  }

  /** @param {Body} what `{tag: "shop"}`, say. @returns {Promise<{dropped: number}>} POST /v1/cache/invalidate. */
  invalidate(what) {
    return this.http.call("POST", "/v1/cache/invalidate", what);
  }

  /** End every connection. What is being read, and what is asked later, fails with `client_closed`; runs end by their own policy. */
  close() {
    this.http.closed = true;
    this.#wire.close();
    this.#sockets.close();
  }

  #open() {
    if (this.http.closed) throw new StreamError(CLOSED);
    return this.#wire;
  }

  #patience() {
    return new Patience(this.#patienceMs);
  }

  /** @param {keyof ClientEvents} name @param {LinkState|Problem} detail */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** @param {Record<string, string|number|boolean>} fields */
function queryOf(fields) {
  const said = Object.entries(fields).map(([name, value]) => [name, String(value)]);
  return said.length ? `?${new URLSearchParams(said)}` : "";
}
