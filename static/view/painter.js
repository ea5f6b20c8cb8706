/** One animation frame paints everything that has changed since the last. */

const LIVE_MS = 250;

/**
 * @typedef {object} View
 * @property {() => void} paint write to the page; never reads its layout.
 * @property {() => void} [settle] after all have painted: what needs the layout, once a frame.
 * @property {() => boolean} [live] whether time alone changes it.
 */

export class Painter {
  /** @type {Set<View>} */ #views = new Set();
  /** @type {Set<View>} */ #dirty = new Set();
  #planned = false;

  constructor() {
    setInterval(() => {
      for (const view of this.#views) if (view.live?.()) this.touch(view);
    }, LIVE_MS);
  }

  /** Paint a view from now on, whenever it is touched. @param {View} view */
  add(view) {
    this.#views.add(view);
    this.touch(view);
  }

  /** @param {View} view */
  remove(view) {
    this.#views.delete(view);
    this.#dirty.delete(view);
  }

  /** The view has changed. @param {View} view */
  touch(view) {
    if (!this.#views.has(view)) return;
    this.#dirty.add(view);
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => this.#frame());
  }

  #frame() {
    this.#planned = false;
    const views = [...this.#dirty];
    this.#dirty.clear();
    for (const view of views) view.paint();
    for (const view of views) view.settle?.();
  }
}
