// Runs cases on the JavaScript client, one after the other: a line of JSON asks, a line answers.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const { Client, Stream, StreamError } = await import(new URL("client.js", folder).href);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);
const next = async () => JSON.parse((await lines.next()).value ?? "null");

// Tells the test how far a case is, and waits until it says "go".
const reached = async (where) => {
  say({ reached: where });
  await next();
};

const failure = (error) => ({
  raised: error.name,
  code: error.code,
  status: error.status,
  retryable: error.retryable,
  field: error.field ?? null,
  detail: error.detail ?? error.message,
  typed: error instanceof StreamError,
});

const collect = async (iterable, pieces = []) => {
  for await (const piece of iterable) pieces.push(piece);
  return pieces;
};

const first = async (iterable) => {
  for await (const piece of iterable) return piece;
};

// A case gets a client and what the test has given.
const cases = {
  result: async (client, { recipe = "generate", body }) => client.start(recipe, body).result(),

  async text(client, { body }) {
    const stream = client.generate(body);
    const pieces = await collect(stream.text());
    const answer = await stream.result();
    return { pieces, answer, again: await stream.result(), resumes: stream.resumes };
  },

  async events(client, { body }) {
    const stream = client.generate(body);
    const events = await collect(stream.events());
    return { events, resumes: stream.resumes, cursor: stream.cursor };
  },

  items: async (client, { recipe, body }) => collect(client.start(recipe, body).items()),

  // Text, and what it ended with.
  async broken(client, { body }) {
    const stream = client.generate(body);
    const pieces = [];
    const told = await collect(stream.text(), pieces).catch(failure);
    return { pieces, told, again: await stream.result().catch(failure) };
  },

  async opened(client, { body }) {
    const stream = await client.generate(body).open();
    const { run, cache } = stream;
    await stream.close();
    return { run, cache };
  },

  async left(client, { body }) {
    const stream = client.generate(body);
    const piece = await first(stream.text());
    return { run: stream.run, piece, after: await stream.result().catch(failure) };
  },

  // Leaves when everything has arrived.
  async leftLate(client, { body }) {
    const stream = await client.generate(body).open();
    await reached(stream.run);
    const piece = await first(stream.text());
    return { piece, after: await stream.result().catch(failure) };
  },

  async aborted(client, { body, reason }) {
    const controller = new AbortController();
    const text = client.generate(body, { signal: controller.signal }).text();
    await text.next();
    const waiting = text.next().catch(failure);
    controller.abort(reason ? new DOMException("", reason) : undefined);
    return { told: await waiting, again: await text.next() };
  },

  async abortedBefore(client, { body }) {
    return collect(client.generate(body, { signal: AbortSignal.abort() }).text());
  },

  // Two streams of one client on one run; the first one leaves.
  async together(client, { body }) {
    const streams = [client.generate(body), client.generate(body)];
    for (const stream of streams) await stream.open();
    await streams[0].close();
    await reached(streams[1].run);
    await streams[1].close();
    return { cache: streams[1].cache };
  },

  // Reads on after a cut, and leaves.
  async cut(client, { body }) {
    const stream = client.generate(body);
    const text = stream.text();
    await text.next();
    await reached(stream.run);
    const waiting = text.next().catch(failure);
    while (!stream.resumes) await new Promise((resolve) => setTimeout(resolve, 5));
    await stream.close();
    return waiting;
  },

  async held(client, { body }) {
    const stream = client.generate(body);
    const text = stream.text();
    const pieces = [(await text.next()).value];
    await reached(stream.run);
    return { pieces: await collect(text, pieces), resumes: stream.resumes };
  },

  async follow(client, { run, after }) {
    const stream = client.follow(run, { after });
    const events = await collect(stream.events());
    return { events, told: await stream.result().then(({ text }) => text, failure) };
  },

  // Follows from behind the first event, and leaves with the next.
  followed: async (client, { run }) => first(client.follow(run, { after: "1-1" }).events()),

  async restarted(client, { body }) {
    const pieces = [];
    const stream = client.generate(body);
    const text = stream.text({ onRestart: () => pieces.push(null) });
    return collect(text, pieces);
  },

  async closed(client, { body }) {
    const stream = client.generate(body);
    const text = stream.text();
    await text.next();
    const waiting = text.next().catch(failure);
    client.close();
    return [await waiting, await client.generate(body).result().catch(failure), await client.models().catch(failure)];
  },

  call: async (client, { method, words }) => client[method](...words),

  async unauthenticated(client, { body }) {
    const told = [];
    client.addEventListener("unauthenticated", ({ detail }) => told.push(detail.code));
    return [(await client.generate(body).result().catch(failure)).code, ...told];
  },

  // A ticket that somebody else has got, for a page that is not to know the key.
  async ticketed(client, { body, key }) {
    client.http.getTicket = async () => ({ subprotocol: null });
    const wrong = await client.generate(body).result().catch(failure);
    const keeper = new Client(client.http.url, { key });
    client.http.getTicket = () => keeper.http.call("POST", "/v1/tickets");
    const { text } = await client.generate(body).result();
    return [wrong.code, text];
  },

  async socketless(client) {
    const { WebSocket } = globalThis;
    delete globalThis.WebSocket;
    try {
      new Client(client.http.url, { wire: "websocket" });
    } catch (error) {
      const made = new Client(client.http.url, { wire: "websocket", WebSocket });
      const { text } = await made.generate({ prompt: "Hi" }).result();
      made.close();
      return [error.name, text];
    } finally {
      globalThis.WebSocket = WebSocket;
    }
  },

  // What a stream makes of what a wire tells it.
  async told(_client, { calls, restarts = false }) {
    let left = 0;
    const open = (sink) => {
      queueMicrotask(() => calls.forEach(([call, ...words]) => sink[call](...words)));
      return { close: () => (left += 1), abandon: async () => void (left += 1), pause() {}, resume() {} };
    };
    const stream = new Stream(open, { after: "0", owned: true });
    const pieces = [];
    const onRestart = restarts ? () => pieces.push(null) : undefined;
    const how = await collect(stream.text({ onRestart }), pieces).then(() => null, failure);
    return { pieces, how, left };
  },

  async begun(client, { bodies }) {
    const streams = bodies.map((body) => client.generate(body).events());
    const events = [];
    for (const stream of streams) events.push((await stream.next()).value);
    return events;
  },
};

for (let asked = await next(); asked; asked = await next()) {
  const client = new Client(asked.url, asked.options);
  const told = await cases[asked.name](client, asked).then((value) => ({ value: value ?? null }), failure);
  client.close();
  say(told);
}
