/** Asks again and again, but only while somebody looks. */

/** Asks at once when it starts and `ms` after each answer; a hidden tab asks nothing. */
export class Poll {
  #timer = 0;
  #running = false;
  #asking = false;

  /** @param {number} ms @param {() => Promise<void>} ask never rejects. */
  constructor(ms, ask) {
    this.ms = ms;
    this.ask = ask;
    document.addEventListener("visibilitychange", () => void this.#turn());
  }

  start() {
    this.#running = true;
    void this.#turn();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  /** Ask now, whenever it would have been; what is asked already is not asked twice. */
  async #turn() {
    clearTimeout(this.#timer);
    if (!this.#running || this.#asking || document.hidden) return;
    this.#asking = true;
    try {
      await this.ask();
    } finally {
      this.#asking = false;
    }
    if (this.#running) this.#timer = setTimeout(() => void this.#turn(), this.ms);
  }
}
