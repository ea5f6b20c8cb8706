/** How often the cache was of use, in the status bar; asked for when a run has ended. */

/** @import {Run} from "../run.js" */
/** @import {CacheStatistics} from "../types.js" */

import { entries } from "../wire/cache.js";
import { asProblem } from "../wire/problem.js";
import { byId, setText } from "./element.js";
import { NONE, percent } from "./figures.js";

const SETTLE_MS = 300; // of runs that end together, only the first one asks

export class CacheGauge {
  #rate = byId("hit-rate");
  #button = byId("cache-open");
  #title = byId("cache-open").title;
  #timer = 0;

  /** Ask when this run ends. @param {Run} run */
  watch(run) {
    const ended = () => {
      if (!run.isOver) return;
      run.watchers.delete(ended);
      this.ask();
    };
    run.watchers.add(ended);
  }

  /** Ask the service soon. */
  ask() {
    this.#timer ||= setTimeout(() => void this.#ask(), SETTLE_MS);
  }

  /** @param {CacheStatistics} statistics */
  show({ hit_rate, hits, stale, misses }) {
    setText(this.#rate, percent(hit_rate));
    this.#button.title = `${this.#title}: ${hits + stale} of ${hits + stale + misses} requests`;
  }

  async #ask() {
    this.#timer = 0;
    try {
      this.show((await entries("all", "", { limit: 1 })).statistics);
    } catch (error) {
      // A figure that cannot be had is no fault of the page's; the panel tells why.
      setText(this.#rate, NONE);
      this.#button.title = asProblem(error).detail;
    }
  }
}
