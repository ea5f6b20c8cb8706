/** The bar of arrivals: each piece a tick, so that stalls and bursts are seen. */

/** @import {Run} from "../run.js" */

/** @type {{tick: string, replay: string, mark: string, line: string}|null} */
let colours = null;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (colours = null));

/** A canvas that is drawn anew in at most some 180 strokes, however long the run. */
export class Ticks {
  #width = 0;
  #height = 0;

  /** @param {HTMLCanvasElement} canvas @param {() => void} resized it has to be painted again. */
  constructor(canvas, resized) {
    this.canvas = canvas;
    this.observer = new ResizeObserver(([entry]) => {
      this.#width = Math.round(entry.contentRect.width * devicePixelRatio);
      this.#height = Math.round(entry.contentRect.height * devicePixelRatio);
      resized();
    });
    this.observer.observe(canvas);
  }

  /** @param {Run} run */
  paint(run) {
    const [width, height] = [this.#width, this.#height];
    const context = this.canvas.getContext("2d");
    if (!context || !width) return;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    colours ??= readColours(this.canvas);
    context.clearRect(0, 0, width, height);
    context.fillStyle = colours.line;
    context.fillRect(0, height - 1, width, 1);
    const end = Math.max(run.elapsedMs, 1);
    const { counts, share } = run.arrivals.upTo(end);
    const step = (width * share) / counts.length;
    const most = Math.log2(1 + counts.reduce((a, b) => Math.max(a, b), 1));
    const thick = Math.max(1, Math.min(step - 1, 3 * devicePixelRatio));
    context.fillStyle = run.replayed ? colours.replay : colours.tick;
    counts.forEach((count, bin) => {
      if (!count) return;
      const tall = height * (0.3 + (0.7 * Math.log2(1 + count)) / most);
      context.fillRect(Math.min(bin * step, width - thick), height - tall, thick, tall);
    });
    context.fillStyle = colours.mark;
    for (const ms of run.arrivals.marks) {
      const wide = 2 * devicePixelRatio;
      const left = Math.min((ms / end) * width, width - wide);
      context.clearRect(left - wide, 0, 3 * wide, height);
      context.fillRect(left, 0, wide, height);
    }
  }
}

/** @param {Element} element */
function readColours(element) {
  const style = getComputedStyle(element);
  const read = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return { tick: read("--accent"), replay: read("--line-strong"), mark: read("--warn"), line: read("--line") };
}
