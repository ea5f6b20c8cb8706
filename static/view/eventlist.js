/** The raw events of a run. Only rows that can be seen exist, so 100,000 stay scrollable. */

/** @import {Run} from "../run.js" */
/** @import {Painter} from "./painter.js" */

import { make, setText } from "./element.js";
import { whole } from "./figures.js";

const ROW_PX = 24;
const SPARE_ROWS = 8;
const HEADS = ["cursor", "ms", "type", "content"];

/** A panel of the drawer. */
export class EventList {
  title = "Events";
  /** @type {Run|null} */ #run = null;
  /** Places of the events that match the filter; null = all. @type {number[]|null} */ #matches = null;
  #searched = 0;
  /** @type {HTMLElement[]} */ #rows = [];
  #chosen = -1;
  #following = true;
  #height = 0;

  /** @param {Painter} painter */
  constructor(painter) {
    this.painter = painter;
    this.filter = make("input", { type: "search", placeholder: "Filter: text.delta, 1-42, ...",
      "aria-label": "Show events that contain", oninput: () => this.#filtered() }); // prettier-ignore
    this.count = make("span", { class: "quiet" });
    this.spacer = make("div", { class: "rows-spacer" });
    this.scroller = make(
      "div",
      { class: "rows mono", tabindex: 0, role: "listbox", "aria-label": "Events", onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e) },
      this.spacer,
    );
    this.detail = make("pre", { class: "event-detail mono", tabindex: 0, "aria-label": "The chosen event" });
    this.element = make("section", { class: "panel" },
      make("div", { class: "panel-bar" }, this.filter, this.count),
      make("div", { class: "row head", "aria-hidden": "true" }, ...HEADS.map((head) => make("span", {}, head))),
      this.scroller, this.detail); // prettier-ignore
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(([entry]) => {
      this.#height = entry.contentRect.height;
      painter.touch(this);
    }).observe(this.scroller);
  }

  /** @param {Run|null} run */
  show(run) {
    if (run !== this.#run) {
      this.#run = run;
      this.#following = true;
      this.#choose(-1);
      this.#filtered();
    }
    this.painter.touch(this);
  }

  paint() {
    const events = this.#run?.events ?? [];
    this.#search(events);
    const total = this.#matches?.length ?? events.length;
    setText(this.count, this.#matches ? `${whole(total)} of ${whole(events.length)}` : whole(total));
    this.spacer.style.height = `${total * ROW_PX}px`;
    if (this.#following) this.scroller.scrollTop = total * ROW_PX;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW_PX) - SPARE_ROWS);
    const visible = Math.min(total - first, Math.ceil(this.#height / ROW_PX) + 2 * SPARE_ROWS);
    this.#resize(Math.max(0, visible));
    this.#rows.forEach((row, place) => this.#fill(row, first + place, total, events));
  }

  /** @param {string[]} events look only at what is new. */
  #search(events) {
    const wanted = this.filter.value;
    if (!this.#matches) return;
    for (; this.#searched < events.length; this.#searched += 1) {
      if (events[this.#searched].includes(wanted)) this.#matches.push(this.#searched);
    }
  }

  #filtered() {
    this.#matches = this.filter.value ? [] : null;
    this.#searched = 0;
    this.painter.touch(this);
  }

  /** @param {number} count */
  #resize(count) {
    while (this.#rows.length > count) this.#rows.pop()?.remove();
    while (this.#rows.length < count) {
      const row = make("div", { class: "row", role: "option" }, ...[0, 1, 2, 3].map(() => make("span")));
      row.addEventListener("click", () => this.#choose(Number(row.dataset.place)));
      this.#rows.push(row);
      this.spacer.append(row);
    }
  }

  /** @param {HTMLElement} row @param {number} place among those shown. @param {number} total @param {string[]} events */
  #fill(row, place, total, events) {
    const raw = events[this.#matches ? this.#matches[place] : place];
    row.style.transform = `translateY(${place * ROW_PX}px)`;
    row.classList.toggle("chosen", place === this.#chosen);
    row.setAttribute("aria-selected", String(place === this.#chosen));
    if (row.dataset.raw === raw && row.dataset.place === String(place)) return;
    row.dataset.raw = raw;
    row.dataset.place = String(place);
    row.id = `event-${place}`;
    row.setAttribute("aria-setsize", String(total));
    row.setAttribute("aria-posinset", String(place + 1));
    const { id, run, t_ms, type, ...rest } = JSON.parse(raw);
    const shown = Object.keys(rest).length === 1 && "text" in rest ? JSON.stringify(rest.text) : JSON.stringify(rest);
    [id, String(t_ms), type, shown].forEach((text, column) => setText(row.children[column], text));
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < ROW_PX;
    this.painter.touch(this);
  }

  /** @param {number} place -1 = none. */
  #choose(place) {
    this.#chosen = place;
    const raw = this.#run?.events[this.#matches ? this.#matches[place] : place];
    this.detail.hidden = raw === undefined;
    this.detail.textContent = raw === undefined ? "" : JSON.stringify(JSON.parse(raw), null, 2);
    if (raw === undefined) this.scroller.removeAttribute("aria-activedescendant");
    else this.scroller.setAttribute("aria-activedescendant", `event-${place}`);
    this.painter.touch(this);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const total = this.#matches?.length ?? this.#run?.events.length ?? 0;
    const page = Math.floor(this.#height / ROW_PX);
    /** @type {Record<string, number>} */
    const targets = { ArrowDown: this.#chosen + 1, ArrowUp: this.#chosen - 1, Home: 0, End: total - 1,
      PageDown: this.#chosen + page, PageUp: this.#chosen - page }; // prettier-ignore
    if (!(event.key in targets) || !total) return;
    event.preventDefault();
    const place = Math.min(total - 1, Math.max(0, targets[event.key]));
    const top = place * ROW_PX;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW_PX > this.scroller.scrollTop + this.#height) {
      this.scroller.scrollTop = top + ROW_PX - this.#height;
    }
    this.#choose(place);
  }
}
