/** What a run of the past was asked, folded away above its answer. */

/** @import {PastRun} from "../pastrun.js" */

import { make } from "./element.js";

/** @param {PastRun} run */
export function asked({ messages }) {
  return make("details", { class: "more asked-once" },
    make("summary", {}, "What was asked"),
    ...messages.flatMap(({ role, content }) => [
      make("p", { class: "quiet" }, role),
      make("pre", { tabindex: 0, role: "group", "aria-label": role }, content),
    ])); // prettier-ignore
}
