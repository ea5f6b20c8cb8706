/** The page: who is told what. Everything that is seen or sent is in the modules it joins. */

import { Run } from "./run.js";
import { service } from "./service.js";
import { Session } from "./session.js";
import { CacheGauge } from "./view/cachegauge.js";
import { CachePanel } from "./view/cachepanel.js";
import { Composer } from "./view/composer.js";
import { Deck } from "./view/deck.js";
import { Drawer } from "./view/drawer.js";
import { MetricsPanel } from "./view/metricspanel.js";
import { Notices } from "./view/notices.js";
import { Painter } from "./view/painter.js";
import { ProvidersPanel } from "./view/providerspanel.js";
import { Recall } from "./view/recall.js";
import { RequestsPanel } from "./view/requestspanel.js";
import { RunsPanel } from "./view/runspanel.js";
import { SignIn } from "./view/signin.js";
import { StatusBar } from "./view/statusbar.js";
import { UsagePanel } from "./view/usagepanel.js";
import * as api from "./wire/api.js";
import { asProblem } from "./wire/problem.js";
import { requests } from "./wire/requests.js";

/** @import {Card} from "./view/card.js" */
/** @import {Order} from "./view/composer.js" */

const notices = new Notices();
const painter = new Painter();
const { socket } = service;
const deck = new Deck(painter, (name, card) => ACTIONS[name](card));
const composer = new Composer(start);
const drawer = new Drawer(painter, {
  closed: () => deck.select(null),
  edit: (run) => composer.write(run.recipe, run.input ?? {}),
});
const recall = new Recall(deck, {
  changed: (gone) => {
    if (gone) drawer.forget(gone);
    session.touch();
  },
  complain: (text) => notices.show(text),
});
const bar = new StatusBar(socket, () => deck.cards.map((card) => card.run));
const gauge = new CacheGauge();
new CachePanel({
  counted: (statistics) => gauge.show(statistics),
  follow: (id, title) => over(followed(id, title)),
});
new UsagePanel();
new RunsPanel({
  open: (id) => {
    composer.fold();
    open(id);
  },
  recall: (id) => {
    composer.fold();
    void recall.open(id);
  },
});
new MetricsPanel();
new ProvidersPanel();
new RequestsPanel();
const session = new Session(() =>
  deck.cards.flatMap(({ run: { id, recipe, title, input, cache, cursor } }) =>
    id === null ? [] : [{ id, recipe, title, input, cache, cursor }],
  ),
);
/** The stream of each card. @type {WeakMap<Run, string>} */
const streams = new WeakMap();

/** @type {Record<string, (card: Card) => void>} what the buttons of a card do. */
const ACTIONS = {
  cancel: ({ run }) => void cancel(run),
  again: ({ run: { recipe, input, title } }) =>
    start({ recipe, title, input: { ...input, cache: { mode: "bypass" } } }),
  replay: ({ run: { recipe, input, title } }) => start({ recipe, title, input: replayOf(input ?? {}) }),
  close: (card) => {
    socket.leave(streams.get(card.run) ?? "");
    deck.remove(card);
    if (addressed() === card.run.id) history.replaceState(null, "", location.pathname);
    drawer.forget(card.run);
    session.touch();
  },
  events: (card) => show(card, "events"),
  sse: (card) => show(card, "sse"),
};

/** The same request, to be answered from the cache or not at all. @param {Record<string, any>} input */
function replayOf(input) {
  return { ...input, cache: { pace: "recorded", ...input.cache, mode: "only" } };
}

/** @param {Order} order */
function start({ recipe, input, title }) {
  requests.note({ method: "POST", path: `/v1/${recipe}`, body: input })("over the socket");
  const run = new Run({ recipe, input, title });
  watch(run);
  deck.add(run);
  streams.set(run, socket.start(recipe, input, run));
}

/**
 * Read a run from its beginning.
 *
 * @param {Run} run
 * @param {string} id
 */
function follow(run, id) {
  run.id = id;
  watch(run);
  recall.watch(run);
  streams.set(run, socket.follow(id, "0", run));
}

/** Put a run on the page that somebody else has started. @param {string} id @param {string} title */
function followed(id, title) {
  const run = new Run({ title });
  follow(run, id);
  deck.add(run);
  return run;
}

/** @param {Run} run */
function watch(run) {
  run.watchers.add(() => session.touch());
  gauge.watch(run);
}

/** The state of a run once it is over. @param {Run} run @returns {Promise<string>} */
function over(run) {
  return new Promise((resolve) => {
    run.watchers.add(() => {
      if (run.isOver) resolve(run.state);
    });
  });
}

/** @param {Run} run */
async function cancel(run) {
  if (run.id === null) return;
  try {
    const reply = await (socket.link.ready ? overSocket(run.id) : api.cancel(run.id));
    if (!reply.shared) return;
    socket.leave(streams.get(run) ?? "");
    run.leave();
  } catch (error) {
    const { title, detail } = asProblem(error);
    notices.show(`Not cancelled. ${title}. ${detail}`);
  }
}

/** @param {string} id */
function overSocket(id) {
  requests.note({ method: "POST", path: `/v1/runs/${encodeURIComponent(id)}/cancel` })("over the socket");
  return socket.cancel(id);
}

/** @param {Card} card @param {string} tab */
function show(card, tab) {
  deck.select(card);
  drawer.show(card.run, tab);
}

/** The run that the address names: `#run=<id>`. */
function addressed() {
  return new URLSearchParams(location.hash.slice(1)).get("run");
}

/** Open the run that the address names. */
function openAddressed() {
  const id = addressed();
  if (id) open(id);
}

/** Put a run on the page, or go to its card. @param {string} id */
function open(id) {
  const present = deck.find(id);
  if (present) {
    present.element.focus();
    return;
  }
  const run = new Run();
  const named = () => {
    if (run.state === "starting") return;
    run.watchers.delete(named);
    if (run.state !== "lost") void name(run);
  };
  run.watchers.add(named);
  follow(run, id);
  deck.add(run).element.focus();
}

/** Ask for the title of a run that somebody else has started. @param {Run} run */
async function name(run) {
  try {
    const { title } = await api.snapshot(run.id ?? "");
    run.rename(title);
  } catch (error) {
    notices.show(`The title could not be read. ${asProblem(error).detail}`);
  }
}

/** Take up the runs this tab had open. */
function restore() {
  for (const saved of session.load()) {
    const run = new Run(saved);
    run.cache = saved.cache;
    run.reloadedAt = saved.cursor === "0" ? null : saved.cursor;
    follow(run, saved.id);
    deck.add(run, { last: true });
  }
}

function linkChanged() {
  painter.touch(bar);
  if (socket.link.state.name === "open") gauge.ask();
  // Models and templates may not have been there when the page was.
  if (socket.link.state.name === "open" && !composer.ready) void loadCatalog();
}

/** Take everything off the page: who uses it next has another key. */
function clear() {
  for (const card of [...deck.cards]) ACTIONS.close(card);
  session.save();
  location.replace("/");
}

async function loadCatalog() {
  try {
    const catalog = await api.catalog();
    if (!composer.ready) composer.fill(catalog);
  } catch (error) {
    composer.complain(`Models and templates could not be loaded. ${asProblem(error).detail}`);
  }
}

requests.watch(service.http);
new SignIn({ signedIn: () => void loadCatalog(), signedOut: clear });
service.addEventListener("link", linkChanged);
painter.add(bar);
restore();
openAddressed();
addEventListener("hashchange", openAddressed);
socket.open();
