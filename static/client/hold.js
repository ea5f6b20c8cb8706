/** A slow reader on purpose: what has arrived waits here and is handed on a little at a time. */

const TURN_MS = 100;

/** Passes everything on at once, unless `rate` says otherwise. Order is kept in any case. */
export class Hold {
  /** @type {unknown[]} */ #waiting = [];
  #timer = 0;
  #rate = Infinity;

  /** @param {(item: any) => void} deliver */
  constructor(deliver) {
    this.deliver = deliver;
  }

  /** How many frames are held back. */
  get size() {
    return this.#waiting.length;
  }

  /** Frames handed on per second; `Infinity` hands on what waits, and then everything. */
  get rate() {
    return this.#rate;
  }

  set rate(rate) {
    this.#rate = rate;
    clearInterval(this.#timer);
    if (rate === Infinity) this.#release(Infinity);
    else this.#timer = setInterval(() => this.#release((rate * TURN_MS) / 1000), TURN_MS);
  }

  /** @param {unknown} item */
  push(item) {
    if (this.#rate === Infinity) this.deliver(item);
    else this.#waiting.push(item);
  }

  /** Forget what waits: its connection is gone and it will be sent again. */
  clear() {
    this.#waiting.length = 0;
  }

  /** @param {number} count */
  #release(count) {
    for (const item of this.#waiting.splice(0, count)) this.deliver(item);
  }
}
