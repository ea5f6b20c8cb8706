/** One run on the page. */

/** @import {Run} from "../run.js" */
/** @import {Painter} from "./painter.js" */

import { PastRun } from "../pastrun.js";
import { asked } from "./asked.js";
import { chips } from "./chips.js";
import { copyFrom } from "./clipboard.js";
import { clone, find, make, setText } from "./element.js";
import { ending } from "./ending.js";
import { counted, duration } from "./figures.js";
import { Numbers } from "./numbers.js";
import { Passage } from "./passage.js";
import { PIECES, RESULT_VIEWS } from "./results.js";
import { Ticks } from "./ticks.js";

const FIGURES_MS = 100; // numbers that change more often cannot be read
const NEAR_END_PX = 24;

/** Shows a run as it grows. Buttons it cannot answer itself become `act(name, card)`. */
export class Card {
  #following = true;
  #figuresAt = 0;
  #figuresState = "";
  #chips = "";
  #top = 0;

  /**
   * @param {Run} run
   * @param {Painter} painter
   * @param {(name: string, card: Card) => void} act
   */
  constructor(run, painter, act) {
    this.run = run;
    this.painter = painter;
    this.act = act;
    /** @type {import("./results.js").ResultView|null} */
    this.result = null;
    /** @type {HTMLElement} */
    this.element = clone("card-template");
    const part = (/** @type {string} */ selector) => find(this.element, selector);
    this.title = part(".card-title");
    this.chipList = part(".chips");
    this.body = part(".card-body");
    this.reasoningBox = part(".reasoning");
    this.notes = part(".notes");
    this.answerBox = part(".answer");
    this.endBox = part(".ending");
    this.toEnd = part(".to-end");
    this.tab = part("[data-part=tab]");
    this.replayed = part(".replayed");
    this.arrivals = part(".arrivals");
    this.numbers = new Numbers(part(".numbers"));
    this.buttons = new Map(
      ["cancel", "again", "replay", "copy", "events", "sse", "link"].map((name) => [name, part(`[data-act=${name}]`)]),
    );
    this.reasoning = new Passage(find(this.reasoningBox, ".passage"));
    this.answer = new Passage(this.answerBox);
    if (run instanceof PastRun && run.messages.length) this.body.prepend(asked(run));
    this.ticks = new Ticks(part(".ticks"), () => painter.touch(this));
    this.element.addEventListener("click", (event) => this.#clicked(event));
    this.body.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    run.watchers.add(this.touch);
    painter.add(this);
  }

  touch = () => this.painter.touch(this);

  /** Take it off the page. */
  remove() {
    this.run.watchers.delete(this.touch);
    this.painter.remove(this);
    this.ticks.observer.disconnect();
    this.element.remove();
  }

  live() {
    return !this.run.isOver;
  }

  paint() {
    const { run } = this;
    this.reasoning.paint(run.reasoning);
    this.answer.paint(run.spoken);
    this.#paintResult();
    const now = performance.now();
    const state = `${run.state} ${run.cutOff} ${run.digest} ${run.title}`;
    if (state === this.#figuresState && now - this.#figuresAt < FIGURES_MS) return;
    this.#figuresAt = now;
    this.#figuresState = state;
    this.#paintFigures();
    this.#paintState();
    this.ticks.paint(run);
  }

  /** Recipes whose answer is more than text have a view of their own, above the text. */
  #paintResult() {
    const View = RESULT_VIEWS[this.run.recipe];
    if (!View) return;
    if (!this.result) {
      this.result = new View();
      this.answerBox.before(this.result.element);
      this.element.classList.add("with-result");
    }
    this.result.paint(this.run);
    const { spoken, items, steps, isOver, state } = this.run;
    const bare = !items.length && !steps.length;
    this.result.element.hidden = bare && state !== "completed";
    this.answerBox.hidden = !spoken.length && !(bare && !isOver);
  }

  settle() {
    // Only now, when every card has written: the layout is computed once for all of them.
    if (this.#following) this.body.scrollTop = this.body.scrollHeight;
  }

  #paintFigures() {
    const { run } = this;
    this.numbers.paint(run);
    this.replayed.hidden = !run.replayed;
    const size = counted(run.reasoningChars, "character");
    setText(find(this.reasoningBox, "summary"), `Reasoning, ${size}`);
    this.reasoningBox.hidden = !run.reasoning.length;
  }

  #paintState() {
    const { run, element } = this;
    element.dataset.state = run.state;
    element.dataset.digest = run.digest ?? "";
    if (run.id) element.dataset.run = run.id;
    element.classList.toggle("severed", run.cutOff && !run.isOver);
    setText(this.title, run.title || run.id || "Run");
    this.title.title = run.title;
    this.element.setAttribute("aria-label", `Run: ${run.title || run.id}`);
    this.body.setAttribute("aria-label", `Answer: ${run.title || run.id}`);
    this.#paintChips();
    this.#paintNotes();
    this.#paintEnding();
    const held = (/** @type {string} */ name) => this.buttons.get(name);
    this.arrivals.hidden = held("sse").hidden = held("events").hidden = run.past;
    held("cancel").hidden = run.isOver;
    held("cancel").disabled = !run.id;
    held("again").hidden = !run.isOver || !run.input;
    // What bypassed the cache is not in it; an equal request's answer would not be this one.
    held("replay").hidden = run.state !== "completed" || !run.input || run.cache === "bypass";
    held("copy").disabled = !run.copied;
    held("sse").disabled = held("link").disabled = !run.id;
    this.tab.hidden = !run.id;
    if (run.id) this.tab.href = `/#run=${run.id}`;
    this.answerBox.dataset.wait = run.isOver ? "" : `Waiting for the first ${PIECES[run.recipe] ?? "token"}`;
  }

  #paintChips() {
    const wanted = chips(this.run);
    const key = JSON.stringify(wanted);
    if (key === this.#chips) return;
    this.#chips = key;
    this.chipList.replaceChildren(
      ...wanted.map(({ text, tone, title }) => make("li", { class: `chip ${tone}`, title }, text)),
    );
  }

  #paintNotes() {
    const { run, notes } = this;
    if (notes.childElementCount === run.failures.length + run.tools.length) return;
    notes.hidden = !run.failures.length && !run.tools.length;
    notes.replaceChildren(
      ...run.failures.map((/** @type {any} */ failure) => {
        const { model, error, next } = failure;
        const pause = next?.delay_ms ? ` in ${duration(next.delay_ms)}` : "";
        const then = next ? ` Next: ${next.model}${pause}.` : "";
        // Most details begin with the model's name, and many end without a full stop.
        const said = error.detail.startsWith(`${model}: `) ? error.detail : `${model}: ${error.detail}`;
        return make("li", {}, make("span", { class: "mono" }, error.code), ` ${said.replace(/\.?$/, ".")}${then}`);
      }),
      ...run.tools.map((/** @type {any} */ tool) =>
        make("li", { class: "mono" }, `${tool.name}(${JSON.stringify(tool.arguments)})`),
      ),
    );
  }

  #paintEnding() {
    const end = ending(this.run);
    this.endBox.hidden = !end;
    if (!end) return;
    const key = JSON.stringify(end);
    if (this.endBox.dataset.key === key) return;
    this.endBox.dataset.key = key;
    this.endBox.className = `ending ${end.tone}`;
    this.endBox.replaceChildren(make("strong", {}, end.head), ` ${end.words.join(" ")} `);
    if (end.link?.startsWith("/docs/")) {
      const link = make("a", { href: end.link, target: "_blank", rel: "noopener" });
      link.textContent = this.run.problem?.code ?? "more";
      this.endBox.append(link);
    }
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.body;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    if (atEnd) this.#following = true;
    // A text that grows only ever scrolls down; up is the reader's doing.
    else if (scrollTop < this.#top) this.#following = false;
    this.#top = scrollTop;
    this.toEnd.hidden = this.#following;
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const button = /** @type {HTMLElement} */ (event.target).closest?.("[data-act]");
    const name = button instanceof HTMLElement && button.dataset.act;
    if (!name) return;
    if (name === "copy") void copyFrom(button, this.run.copied);
    else if (name === "link") void copyFrom(button, `${location.origin}/#run=${this.run.id}`);
    else if (name === "wide") {
      button.setAttribute("aria-pressed", String(this.element.classList.toggle("wide")));
    } else if (name === "end") {
      this.#following = true;
      this.toEnd.hidden = true;
      this.settle();
    } else this.act(name, this);
  }
}
