/** The runs on the page, newest first, and what is said aloud about them. */

/** @import {Run} from "../run.js" */
/** @import {Painter} from "./painter.js" */

import { Card } from "./card.js";
import { stateWord } from "./chips.js";
import { byId } from "./element.js";

export class Deck {
  /** @type {Card[]} */ cards = [];
  #host = byId("cards");
  #empty = byId("empty");
  #announcer = byId("announcer");

  /** @param {Painter} painter @param {(name: string, card: Card) => void} act */
  constructor(painter, act) {
    this.painter = painter;
    this.act = act;
  }

  /** @param {Run} run @param {{last?: boolean}} [place] */
  add(run, { last = false } = {}) {
    const card = new Card(run, this.painter, this.act);
    if (last) {
      this.cards.push(card);
      this.#host.append(card.element);
    } else {
      this.cards.unshift(card);
      this.#host.prepend(card.element);
    }
    this.#announce(run);
    this.#empty.hidden = true;
    return card;
  }

  /** Have a card be that of another run. @param {Card} card @param {Run} run */
  replace(card, run) {
    const made = new Card(run, this.painter, this.act);
    const focused = card.element.contains(document.activeElement);
    this.cards.splice(this.cards.indexOf(card), 1, made);
    card.element.after(made.element);
    card.remove();
    this.#announce(run);
    this.#announcer.textContent = `${run.title || "Run"}: ${stateWord(run)}${run.past ? ", from the history" : ""}`;
    if (focused) made.element.focus();
  }

  /** @param {Card} card */
  remove(card) {
    const place = this.cards.indexOf(card);
    const focused = card.element.contains(document.activeElement);
    this.cards.splice(place, 1);
    card.remove();
    this.#empty.hidden = this.cards.length > 0;
    // A focus that vanishes would send people who use the keyboard back to the start.
    const next = this.cards[Math.min(place, this.cards.length - 1)];
    if (focused) (next?.element ?? byId("run")).focus();
  }

  /** The first card of a run. @param {string} id */
  find(id) {
    return this.cards.find((card) => card.run.id === id);
  }

  /** Mark one card as the one the drawer is about. @param {Card|null} chosen */
  select(chosen) {
    for (const card of this.cards) card.element.classList.toggle("selected", card === chosen);
  }

  /** Say each new state of a run aloud, never its text. @param {Run} run */
  #announce(run) {
    let said = "starting";
    run.watchers.add(() => {
      const word = stateWord(run);
      if (word === said) return;
      said = word;
      this.#announcer.textContent = `${run.title || "Run"}: ${word}`;
    });
  }
}
