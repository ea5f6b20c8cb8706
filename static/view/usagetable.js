/** The account as a table: a row a group, figures on the right, the total below. */

/** @import {Usage, UsageGroup} from "../types.js" */

import { make } from "./element.js";
import { NONE, duration, money, percent, whole } from "./figures.js";

/** @typedef {{head: string, title: string, cell: (group: UsageGroup) => string}} Column */

/** @type {Column[]} */
const COLUMNS = [
  { head: "calls", title: "What callers asked for; those of recipes count once", cell: (group) => whole(group.calls) },
  { head: "cached", title: "Calls that were given a kept answer", cell: (group) => percent(group.cached_share) },
  { head: "joined", title: "Calls that shared a run under way", cell: (group) => percent(group.joined_share) },
  { head: "success", title: "Completed, of those that completed or failed", cell: (group) => percent(group.success_share) },
  { head: "tokens in", title: "What models read; ~ = some of it is estimated", cell: (group) => about(group.input_tokens, group.estimated_input_tokens, whole) },
  { head: "tokens out", title: "What models wrote; ~ = some of it is estimated", cell: (group) => about(group.output_tokens, group.estimated_output_tokens, whole) },
  { head: "cost", title: "By cache.prices and in their currency; ~ = some of it is estimated", cell: cost },
  { head: "first", title: "Until half of the completed calls had their first output", cell: (group) => duration(group.first_token_ms?.p50) },
  { head: "p50", title: "Half of the completed calls took no longer", cell: (group) => duration(group.latency_ms?.p50) },
  { head: "p99", title: "99 of 100 completed calls took no longer", cell: (group) => duration(group.latency_ms?.p99) },
]; // prettier-ignore

/** @param {HTMLElement} table is filled anew. @param {Usage} usage */
export function showTable(table, usage) {
  const names = usage.group_by;
  const heads = names.map((name) => make("th", { scope: "col" }, name));
  for (const { head, title } of COLUMNS) heads.push(make("th", { scope: "col", class: "number", title }, head));
  const width = Math.max(1, names.length);
  const label = make("th", { scope: "row", colspan: width }, names.length ? "total" : "everything");
  if (!names.length) heads.unshift(make("th", { scope: "col" }, ""));
  table.replaceChildren(
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...usage.groups.map((group) => make("tr", {}, ...labels(group, names), ...cells(group)))),
    make("tfoot", {}, make("tr", {}, label, ...cells(usage.total))),
  );
}

/** @param {UsageGroup} group @param {string[]} names */
function labels(group, names) {
  return names.map((name, place) => make(place ? "td" : "th", place ? {} : { scope: "row" }, group[name] || NONE));
}

/** @param {UsageGroup} group */
function cells(group) {
  return COLUMNS.map(({ cell }) => make("td", { class: "number" }, cell(group)));
}

/** @param {number} reported @param {number} estimated @param {(value: number) => string} shown */
function about(reported, estimated, shown) {
  return `${estimated ? "~" : ""}${shown(reported + estimated)}`;
}

/** @param {UsageGroup} group */
function cost({ cost, estimated_cost }) {
  return cost === null ? NONE : about(cost, estimated_cost ?? 0, money);
}
