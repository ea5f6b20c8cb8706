/** What there is to know about one run, on demand: a row of tabs, a panel each. */

/** @import {Run} from "../run.js" */
/** @import {Painter} from "./painter.js" */

import { byId, make, setText } from "./element.js";
import { EventList } from "./eventlist.js";
import { RequestPanel } from "./requestpanel.js";
import { SnapshotPanel } from "./snapshotpanel.js";
import { SsePanel } from "./ssepanel.js";

/**
 * @typedef {object} Panel
 * @property {string} title
 * @property {HTMLElement} element
 * @property {(run: Run|null) => void} show null = no longer looked at.
 */

/** Not modal: the runs beside it can be used meanwhile. Esc closes it. */
export class Drawer {
  #element = byId("drawer");
  #frame = byId("frame");
  #tabs = byId("drawer-tabs");
  /** @type {Record<string, Panel>} */ #panels;
  /** @type {Record<string, HTMLElement>} */ #buttons = {};
  #open = "";
  /** @type {Run|null} */ #run = null;
  /** @type {Element|null} */ #cameFrom = null;

  /**
   * @param {Painter} painter
   * @param {{closed: () => void, edit: (run: Run) => void}} handlers
   */
  constructor(painter, handlers) {
    this.handlers = handlers;
    const events = new EventList(painter);
    const sse = new SsePanel(painter);
    for (const view of [events, sse]) painter.add(view);
    this.#panels = { events, request: new RequestPanel(handlers.edit), sse, snapshot: new SnapshotPanel() };
    for (const [name, { title, element }] of Object.entries(this.#panels)) this.#addTab(name, title, element);
    byId("drawer-close").addEventListener("click", () => this.close());
    this.#tabs.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    addEventListener("keydown", (event) => {
      // Esc closes what is on top, and a dialog is.
      if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
      if (!this.#element.hidden) this.close();
    });
    this.touch = () => [events, sse].forEach((view) => painter.touch(view));
  }

  /** @param {Run} run @param {string} tab */
  show(run, tab) {
    if (this.#element.hidden) this.#cameFrom = document.activeElement;
    if (this.#run !== run) {
      this.#run?.watchers.delete(this.touch);
      run.watchers.add(this.touch);
      this.#run = run;
    }
    this.#element.hidden = false;
    this.#frame.classList.add("with-drawer");
    setText(byId("drawer-title"), run.title || "Run");
    setText(byId("drawer-run"), run.id ?? "");
    this.#choose(tab);
    this.#buttons[tab].focus();
  }

  /** The run is no longer on the page. @param {Run} run */
  forget(run) {
    if (this.#run === run) this.close();
  }

  close() {
    this.#run?.watchers.delete(this.touch);
    this.#run = null;
    this.#choose("");
    this.#element.hidden = true;
    this.#frame.classList.remove("with-drawer");
    if (this.#cameFrom instanceof HTMLElement && this.#cameFrom.isConnected) this.#cameFrom.focus();
    this.handlers.closed();
  }

  /** @param {string} name @param {string} title @param {HTMLElement} panel */
  #addTab(name, title, panel) {
    panel.id = `panel-${name}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${name}`);
    panel.hidden = true;
    byId("drawer-panels").append(panel);
    const button = make("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": panel.id,
      "aria-selected": "false", tabindex: -1, onclick: () => this.#choose(name) }, title); // prettier-ignore
    this.#buttons[name] = button;
    this.#tabs.append(button);
  }

  /** @param {string} chosen "" = none. */
  #choose(chosen) {
    this.#open = chosen;
    for (const [name, panel] of Object.entries(this.#panels)) {
      const button = this.#buttons[name];
      panel.element.hidden = name !== chosen;
      button.setAttribute("aria-selected", String(name === chosen));
      button.tabIndex = name === chosen ? 0 : -1;
      panel.show(name === chosen ? this.#run : null);
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const names = Object.keys(this.#buttons);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = names[(names.indexOf(this.#open) + step + names.length) % names.length];
    this.#choose(next);
    this.#buttons[next].focus();
  }
}
