/** The figures of the charts as a table, newest first: for those who read, and hear, rather than see. */

/** @import {About} from "./chart.js" */
/** @import {Point} from "./trends.js" */

import { make } from "./element.js";

const ROWS = 30;
const CLOCK = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** @param {HTMLTableElement} table is filled anew. @param {About[]} charts @param {Point[]} points oldest first. */
export function showPoints(table, charts, points) {
  const columns = charts.flatMap(({ title, lines, format }) =>
    lines.map(({ name, word }) => ({ name, format, head: lines.length > 1 ? word : title })));
  const heads = columns.map(({ head }) => make("th", { scope: "col", class: "number" }, head));
  const rows = points.slice(-ROWS).reverse().map(({ at, values }) =>
    make("tr", {}, make("th", { scope: "row" }, CLOCK.format(at)),
      ...columns.map(({ name, format }) => make("td", { class: "number" }, format(values[name]))))); // prettier-ignore
  table.replaceChildren(
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "at"), ...heads)),
    make("tbody", {}, ...rows),
  );
}
