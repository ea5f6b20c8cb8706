/** The same run a second time, over Server-Sent Events. A panel of the drawer. */

/** @import {Painter} from "./painter.js" */

import { Run } from "../run.js";
import { service } from "../service.js";
import { Patience } from "../client/patience.js";
import { EventStream } from "../client/sse.js";
import { make, setText } from "./element.js";
import { ending } from "./ending.js";
import { counted, duration } from "./figures.js";
import { Passage } from "./passage.js";

export class SsePanel {
  title = "SSE";
  /** What the socket has brought. @type {Run|null} */ #original = null;
  /** What SSE brings. @type {Run|null} */ #copy = null;
  /** @type {EventStream|null} */ #stream = null;

  /** @param {Painter} painter */
  constructor(painter) {
    this.painter = painter;
    this.facts = make("p", { class: "quiet" });
    this.verdict = make("p", { class: "verdict" });
    this.text = make("div", { class: "passage answer", tabindex: 0, role: "region", "aria-label": "Answer over SSE" });
    this.passage = new Passage(this.text);
    this.element = make("section", { class: "panel" },
      make("div", { class: "panel-bar" }, this.facts), this.text, this.verdict); // prettier-ignore
  }

  /** @param {Run|null} run null = not looked at: stop reading. */
  show(run) {
    if (run === this.#original) return;
    this.#stream?.close();
    this.#stream = null;
    this.#copy = null;
    this.#original = run;
    if (!run?.id) return;
    this.#copy = new Run();
    this.#copy.watchers.add(() => this.painter.touch(this));
    this.#stream = new EventStream(service.http, this.#copy, new Patience(Infinity), { run: run.id });
    void this.#stream.follow();
    this.painter.touch(this);
  }

  paint() {
    const copy = this.#copy;
    this.passage.paint(copy?.text ?? []);
    if (!copy) return;
    const first = copy.firstMs === null ? "" : `, first token ${duration(copy.firstMs)}`;
    const state = copy.cutOff ? "disconnected, coming back" : copy.state;
    setText(this.facts, `${state}: ${counted(copy.events.length, "event")}, cursor ${copy.cursor}${first}`);
    this.element.dataset.state = copy.state;
    setText(this.verdict, this.#verdict(copy));
  }

  settle() {
    this.text.scrollTop = this.text.scrollHeight;
  }

  /** @param {Run} copy */
  #verdict(copy) {
    const end = ending(copy);
    if (!end) return "";
    const words = `${end.head} ${end.words.join(" ")}`;
    const original = this.#original;
    if (!original?.isOver || !original.terminal) return words;
    const same = original.events.length === copy.events.length
      && original.events.every((raw, place) => raw === copy.events[place]); // prettier-ignore
    this.element.dataset.same = String(same);
    return `${words} ${same ? "Byte for byte the same events as over the WebSocket." : "Not the same events as over the WebSocket."}`;
  }
}
