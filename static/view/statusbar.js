/** The thin bar below: the connection, what runs, how fast. */

/** @import {Run} from "../run.js" */
/** @import {Socket} from "../client/socket.js" */

import { byId, setText } from "./element.js";
import { NONE, duration, perSecond } from "./figures.js";

const DROP_MS = 3_000;
const SLOW_RATE = 10; // events per second

/** What a close code of a refusal means to whoever looks at the page. @type {Record<number, string>} */
const REFUSALS = {
  4401: "it asks for a client key, which this page cannot send; use a program of your own",
  4403: "it does not answer pages under this name; its operator can allow it",
  4429: "there are as many connections as there may be; close another page and reconnect",
};

/** A view of the painter that is always live. */
export class StatusBar {
  #slow = byId("slow");

  /**
   * @param {Socket} socket
   * @param {() => Run[]} runs all on the page.
   */
  constructor(socket, runs) {
    this.socket = socket;
    this.runs = runs;
    byId("drop").addEventListener("click", () => socket.link.drop(DROP_MS));
    byId("reconnect").addEventListener("click", () => socket.link.retry());
    this.#slow.addEventListener("click", () => {
      const slow = socket.hold.rate === Infinity;
      socket.hold.rate = slow ? SLOW_RATE : Infinity;
      this.#slow.setAttribute("aria-pressed", String(slow));
    });
  }

  live() {
    return true;
  }

  paint() {
    const { socket } = this;
    const state = socket.link.state;
    byId("connection").dataset.state = state.name;
    setText(byId("connection-words"), this.#words());
    byId("reconnect").hidden = state.name !== "refused" && state.name !== "waiting";
    byId("drop").disabled = !socket.link.ready;
    setText(byId("reconnects"), String(Math.max(0, socket.link.reconnects)));
    const ms = socket.roundTripMs;
    setText(byId("round-trip"), ms === null ? NONE : ms < 1 ? "< 1 ms" : duration(ms));
    const running = this.runs().filter((run) => run.state === "running");
    setText(byId("active"), String(running.length));
    setText(byId("queued"), String(this.runs().filter((run) => run.state === "queued").length));
    setText(byId("rate"), perSecond(running.reduce((sum, run) => sum + (run.rate ?? 0), 0)));
    for (const id of ["reconnects", "active", "queued"]) {
      byId(id).classList.toggle("zero", byId(id).textContent === "0"); // hidden where room is short
    }
    const held = socket.hold.size;
    setText(this.#slow, held ? `Slow reader: ${held} held back` : "Slow reader");
  }

  #words() {
    const state = this.socket.link.state;
    const left = state.until ? Math.max(0, state.until - performance.now()) / 1000 : 0;
    return {
      idle: "not connected",
      connecting: "connecting",
      open: "connected",
      draining: "the service is shutting down",
      waiting: `no connection, next try in ${left.toFixed(1)} s`,
      dropped: `dropped on purpose, back in ${left.toFixed(1)} s`,
      refused: `refused by the service (${state.code}): ${REFUSALS[state.code ?? 0] ?? "reload the page or ask its operator"}`,
    }[state.name];
  }
}
