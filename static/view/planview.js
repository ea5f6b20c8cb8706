/** A plan as it is made: a graph from left to right, times below it, a table for those who read. */

/** @import {Run} from "../run.js" */

import { make } from "./element.js";
import { depths, starts } from "./schedule.js";

const SVG = "http://www.w3.org/2000/svg";
const BOX = { width: 132, height: 36, gapX: 36, gapY: 12 };
const BAR = { height: 14, gap: 4, label: 108, width: 320 };
const LABEL_CHARS = 18;

/** @param {string} name @param {Record<string, string|number>} attributes @param {...(Node|string)} children */
function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

const short = (/** @type {string} */ text) => (text.length > LABEL_CHARS ? `${text.slice(0, LABEL_CHARS - 1)}…` : text);

export class PlanView {
  element = make("div", { class: "plan" });
  #graph = make("div", { class: "graph" });
  #times = make("div", { class: "times" });
  #table = make("tbody");
  #sum = make("p", { class: "sum", hidden: true });
  #key = "";

  constructor() {
    const head = ["id", "task", "after", "hours", "type"].map((name) => make("th", { scope: "col" }, name));
    this.element.append(
      this.#sum,
      this.#graph,
      this.#times,
      make("details", { class: "more" }, make("summary", {}, "As a table"),
        make("table", {}, make("thead", {}, make("tr", {}, ...head)), this.#table)),
    );
  }

  /** @param {Run} run */
  paint(run) {
    const tasks = run.items.map(({ value }) => value);
    const computed = run.state === "completed" ? run.terminal.result.computed : null;
    const key = `${run.restarts} ${tasks.length} ${computed !== null}`;
    if (key === this.#key || !(tasks.length || this.#key)) return;
    this.#key = key;
    const critical = new Set(computed?.critical_path ?? []);
    this.#paintGraph(tasks, critical);
    this.#paintTimes(tasks, critical);
    this.#table.replaceChildren(...tasks.map(row));
    if (computed) this.#paintSum(run.terminal.result);
  }

  /** @param {any[]} tasks @param {Set<string>} critical */
  #paintGraph(tasks, critical) {
    const depth = depths(tasks);
    /** @type {Map<string, {x: number, y: number}>} */ const places = new Map();
    /** @type {number[]} */ const filled = [];
    for (const { id } of tasks) {
      const column = depth.get(id) ?? 0;
      const line = (filled[column] = (filled[column] ?? 0) + 1) - 1;
      places.set(id, { x: column * (BOX.width + BOX.gapX) + 2, y: line * (BOX.height + BOX.gapY) + 2 });
    }
    const width = Math.max(0, filled.length * (BOX.width + BOX.gapX) - BOX.gapX + 4);
    const height = Math.max(0, ...filled) * (BOX.height + BOX.gapY);
    const edges = tasks.flatMap((task) =>
      task.depends_on.filter((/** @type {string} */ id) => places.has(id)).map((/** @type {string} */ id) => {
        const from = places.get(id) ?? { x: 0, y: 0 };
        const to = places.get(task.id) ?? { x: 0, y: 0 };
        const [x1, y1, x2, y2] = [from.x + BOX.width, from.y + BOX.height / 2, to.x, to.y + BOX.height / 2];
        const hot = critical.has(id) && critical.has(task.id);
        return svg("path", { class: hot ? "edge critical" : "edge", d: `M${x1} ${y1}C${x1 + 18} ${y1} ${x2 - 18} ${y2} ${x2} ${y2}` });
      }),
    );
    const nodes = tasks.map((task) => {
      const { x, y } = places.get(task.id) ?? { x: 0, y: 0 };
      const kinds = ["node", critical.has(task.id) ? "critical" : "", task.depends_on.length ? "" : "ready"];
      return svg("g", { class: kinds.join(" "), "data-task": task.id, transform: `translate(${x} ${y})` },
        svg("title", {}, `${task.title}\n${task.description}`),
        svg("rect", { width: BOX.width, height: BOX.height, rx: 6 }),
        svg("text", { x: 8, y: 22 }, short(task.title)));
    });
    const label = `${tasks.length} tasks, dependencies first`;
    this.#graph.replaceChildren(svg("svg", { width, height, role: "img", "aria-label": label }, ...edges, ...nodes));
  }

  /** @param {any[]} tasks @param {Set<string>} critical */
  #paintTimes(tasks, critical) {
    const begin = starts(tasks);
    const end = Math.max(1, ...tasks.map((task) => (begin.get(task.id) ?? 0) + task.effort.likely));
    const scale = BAR.width / end;
    const bars = tasks.flatMap((task, line) => {
      const y = line * (BAR.height + BAR.gap);
      const x = BAR.label + (begin.get(task.id) ?? 0) * scale;
      const kind = critical.has(task.id) ? "bar critical" : "bar";
      return [
        svg("text", { x: 0, y: y + 11 }, short(task.id)),
        svg("rect", { class: kind, x, y, width: Math.max(2, task.effort.likely * scale), height: BAR.height, rx: 3 },
          svg("title", {}, `${task.title}: ${task.effort.likely} hours`)),
      ];
    });
    const height = tasks.length * (BAR.height + BAR.gap);
    this.#times.replaceChildren(
      svg("svg", { width: BAR.label + BAR.width, height, role: "img", "aria-label": `Times of ${tasks.length} tasks` }, ...bars));
  }

  /** @param {any} result */
  #paintSum({ computed, checks, open_questions: questions }) {
    const parts = [`${computed.makespan} hours at best, ${computed.total_effort} in all.`];
    if (checks.repairs) parts.push("Dependencies were repaired.");
    if (checks.uncovered_requirements.length) parts.push(`Not covered: ${checks.uncovered_requirements.join(", ")}.`);
    if (questions.length) parts.push(`Open: ${questions.join(" ")}`);
    this.#sum.replaceChildren(make("strong", {}, computed.critical_path.join(" → ")), ` ${parts.join(" ")}`);
    this.#sum.hidden = false;
  }
}

/** @param {any} task */
function row(task) {
  const cells = [task.id, task.title, task.depends_on.join(", "), task.effort.likely, task.type];
  return make("tr", {}, ...cells.map((cell) => make("td", {}, String(cell))));
}
