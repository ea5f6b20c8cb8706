/** How the providers are: a dialog with the service's readiness, and a block a provider. */

/** @import {ModelFacts, ProviderFacts} from "./providerstate.js" */
/** @import {Readiness} from "../wire/health.js" */

import { models, readiness } from "../wire/health.js";
import { metrics } from "../wire/metrics.js";
import { ProblemError, asProblem } from "../wire/problem.js";
import { make, setText } from "./element.js";
import { counted, whole } from "./figures.js";
import { Poll } from "./poll.js";
import { COMPONENTS, FAMILIES, providers, used } from "./providerstate.js";
import { Sheet } from "./sheet.js";

const REFRESH_MS = 3_000;
const FEW = 4; // models that are shown although nobody has called them

export class ProvidersPanel {
  /** @type {Set<string>} providers all of whose models are shown. */ #whole = new Set();
  #shown = "";

  constructor() {
    this.ready = make("p", { class: "readiness", role: "status" });
    this.note = make("p", { class: "told" });
    this.list = make("div", { class: "provider-list" });
    this.poll = new Poll(REFRESH_MS, () => this.#load());
    this.sheet = new Sheet("providers", "Providers", { opened: () => this.poll.start(), closed: () => this.poll.stop() },
      this.ready, this.note,
      make("div", { class: "sheet-list", tabindex: 0, role: "region", "aria-label": "Providers and their models" }, this.list)); // prettier-ignore
  }

  async #load() {
    try {
      const [catalog, ready, reading] = await Promise.all([models(), readiness(), figures()]);
      this.#showReadiness(ready);
      const silent = reading ? "" : "Figures of calls and breakers need a client key with the scope \u201cmetrics\u201d, and telemetry.metrics.";
      const broken = catalog.faults.map(({ plugin, error }) => `The plugin ${plugin} could not be loaded: ${error}.`);
      setText(this.note, [silent, ...broken].filter(Boolean).join(" "));
      const facts = providers(catalog, ready, reading);
      this.sheet.figures([["providers", whole(facts.length)], ["models", whole(catalog.data.length)]]);
      this.#show(facts);
      this.sheet.complain("");
    } catch (error) {
      const { title, detail } = asProblem(error);
      this.sheet.complain(`The providers could not be read. ${title}. ${detail}`);
    }
  }

  /** @param {Readiness} told */
  #showReadiness({ ready, missing, degraded }) {
    const said = [...missing, ...degraded].filter((name) => name in COMPONENTS).map((name) => COMPONENTS[name]);
    const failing = degraded.filter((name) => name.startsWith("provider:")).map((name) => name.slice(9));
    if (failing.length) said.push(`${failing.join(", ")} ${failing.length > 1 ? "fail" : "fails"}; models of others answer`);
    const words = said.length ? `: ${said.join("; ")}.` : ".";
    this.ready.dataset.tone = !ready ? "bad" : said.length ? "warn" : "good";
    setText(this.ready, `${ready ? "The service is ready" : "The service takes no runs"}${words}`);
  }

  /** @param {ProviderFacts[]} facts */
  #show(facts) {
    const key = JSON.stringify(facts);
    if (key === this.#shown) return; // what has the focus, or is being read, stays
    this.#shown = key;
    const focused = document.activeElement?.closest("[data-provider]")?.getAttribute("data-provider");
    this.list.replaceChildren(...facts.map((one) => this.#block(one)));
    if (focused) this.list.querySelector(`[data-provider="${CSS.escape(focused)}"] summary`)?.focus();
  }

  /** @param {ProviderFacts} facts */
  #block({ name, mock, health, probes, models: known }) {
    const said = probed(probes);
    const busy = known.filter((model) => used(model) > 0 || model.health.tone);
    const first = known.slice(0, Math.max(busy.length, Math.min(known.length, FEW)));
    const rest = known.slice(first.length);
    const children = [
      make("header", {}, make("h3", {}, name), chip(health), ...(mock ? [make("span", { class: "chip" }, "mock")] : [])),
      make("p", { class: "quiet" }, [health.why, said].filter(Boolean).join(". "), "."),
      make("ul", { class: "models" }, ...first.map(row)),
    ];
    if (rest.length) {
      const details = make("details", { class: "more", open: this.#whole.has(name) },
        make("summary", {}, `${counted(rest.length, "model")} more`), make("ul", { class: "models" }, ...rest.map(row))); // prettier-ignore
      details.addEventListener("toggle", () => (details.open ? this.#whole.add(name) : this.#whole.delete(name)));
      children.push(details);
    }
    return make("section", { class: "provider", "data-provider": name, "data-tone": health.tone }, ...children);
  }
}

/** Null where the figures are not to be had; the rest is of use without them. */
async function figures() {
  try {
    return await metrics(FAMILIES);
  } catch (error) {
    if (error instanceof ProblemError && [403, 404].includes(error.problem.status)) return null;
    throw error;
  }
}

/** @param {import("./providerstate.js").Health} health */
function chip({ word, tone, why }) {
  return make("span", { class: `chip health ${tone}`, title: why }, word);
}

/** @param {ModelFacts} model */
function row(model) {
  const { id, aliases, health, calls: { answered, failed }, active, waiting, retriesLeft } = model; // prettier-ignore
  const facts = [];
  if (active) facts.push(`${whole(active)} under way`);
  if (waiting) facts.push(`${whole(waiting)} waiting`);
  if (answered || failed.length) facts.push(`${whole(answered)} answered`);
  for (const [code, count] of failed.slice(0, 3)) facts.push(`${code} ${whole(count)}`);
  if (retriesLeft !== null && (answered || failed.length)) facts.push(`${whole(Math.floor(retriesLeft))} ${Math.floor(retriesLeft) === 1 ? "retry" : "retries"} left`);
  return make("li", { "data-model": id },
    make("span", { class: "model-name" }, id),
    ...(aliases.length ? [make("span", { class: "quiet" }, `also ${aliases.join(", ")}`)] : []),
    ...(health.tone || facts.length ? [chip(health)] : []),
    ...(facts.length ? [make("span", { class: "model-facts" }, facts.join(" \u00b7 "))] : [])); // prettier-ignore
}

/** @param {import("./providerstate.js").Calls} probes */
function probed({ answered, failed }) {
  if (!answered && !failed.length) return "";
  const bad = failed.map(([code, count]) => `${code} ${whole(count)}`).join(", ");
  return `Probes: ${whole(answered)} answered${bad ? `, ${bad}` : ""}`;
}
