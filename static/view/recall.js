/** Cards of runs that the service no longer keeps: from the history, if it has them. */

/** @import {Run} from "../run.js" */
/** @import {Deck} from "./deck.js" */

import { PastRun } from "../pastrun.js";
import { pastRun, recorded } from "../wire/history.js";
import { asProblem } from "../wire/problem.js";

/** Why a run cannot be read that the history may have. */
const GONE = new Set(["run_expired", "unknown_run"]);

export class Recall {
  /** @param {Deck} deck @param {{changed: (gone?: Run) => void, complain: (text: string) => void}} handlers */
  constructor(deck, handlers) {
    this.deck = deck;
    this.handlers = handlers;
  }

  /** Have the history asked as soon as the service says that it has not got this run. @param {Run} run */
  watch(run) {
    const lost = () => {
      if (run.state !== "lost") return;
      run.watchers.delete(lost);
      if (GONE.has(run.problem?.code ?? "")) void this.#replace(run);
    };
    run.watchers.add(lost);
  }

  /** Put a run on the page of which the history has told. @param {string} id */
  async open(id) {
    const found = await this.#ask(id);
    if (!found) return;
    // It may be there already, or be asked for twice.
    (this.deck.find(id) ?? this.deck.add(found)).element.focus();
    this.handlers.changed();
  }

  /** @param {Run} run */
  async #replace(run) {
    const found = await this.#ask(run.id ?? "", { quiet: true });
    const card = this.deck.cards.find((each) => each.run === run);
    if (!found || !card) return;
    this.deck.replace(card, found);
    this.handlers.changed(run);
  }

  /** @param {string} id @param {{quiet?: boolean}} [how] quiet: the page says already that it is gone. */
  async #ask(id, { quiet = false } = {}) {
    try {
      return !quiet || (await recorded()) ? new PastRun(await pastRun(id)) : null;
    } catch (error) {
      const { code, title, detail } = asProblem(error);
      if (!quiet || !GONE.has(code)) this.handlers.complain(`Not read from the history. ${title}. ${detail}`);
      return null;
    }
  }
}
