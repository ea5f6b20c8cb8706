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

  async text(client, { recipe = "generate", body }) {
    const stream = client.start(recipe, body);
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
  async told(_client, { calls, again = calls, restarts = false }) {
    let left = 0;
    let turn = 0;
    const open = (sink) => {
      const tell = (calls, mine = ++turn) =>
        queueMicrotask(() => calls.forEach(([call, ...words]) => mine === turn && sink[call](...words)));
      tell(calls);
      const leave = () => (left += 1);
      return { close: leave, abandon: async () => void leave(), pause() {}, resume: () => tell(again) };
    };
    const stream = new Stream(open, { after: "0", owned: true });
    const pieces = [];
    const onRestart = restarts ? () => pieces.push(null) : undefined;
    const how = await collect(stream.text({ onRestart }), pieces).then(() => null, failure);
    return { pieces, how, left };
  },

  // A key that does not hold, and another as soon as that is told.
  async another(client, { body, key }) {
    client.addEventListener("unauthenticated", () => (client.key = key));
    return (await client.generate(body).result()).text;
  },

  // Sockets and tickets that never come to be.
  async unopened({ http: { url } }, { body }) {
    const told = [];
    const options = { wire: "websocket", patienceMs: 0, silenceMs: 50 };
    const no = class {
      constructor() {
        throw new DOMException("no", "SecurityError");
      }
    };
    for (const more of [{ WebSocket: no }, { ticket: () => new Promise(() => {}) }]) {
      const client = new Client(url, { ...options, ...more });
      told.push((await client.generate(body).result().catch(failure)).code);
    }
    return told;
  },

  // What a socket waits that was open for long, and then can be opened no more; a clock that stands.
  async waits(_client, { body }) {
    const real = { random: Math.random, setTimeout: globalThis.setTimeout };
    let ms = 60_000;
    let opened = 0;
    performance.now = () => ms;
    Math.random = () => 1;
    globalThis.setTimeout = (call) => real.setTimeout(call, 0);
    class Socket {
      constructor() {
        setImmediate(() => (opened++ ? this.onerror() : this.open()));
      }
      open() {
        const limits = { streams: 9, message_bytes: 9_000 };
        this.onmessage({ data: JSON.stringify({ type: "welcome", heartbeat_ms: 1e9, limits }) });
        ms += 10_000;
        this.onclose({ code: 1006, reason: "" });
      }
      send() {}
      close() {}
    }
    const client = new Client("http://127.0.0.1:1", { wire: "websocket", WebSocket: Socket });
    const waits = [];
    client.addEventListener("link", ({ detail: { name, until } }) => {
      if (name === "waiting" && waits.push(until - ms) === 4) client.close();
    });
    await client.generate(body).result().catch(failure);
    Object.assign(globalThis, { setTimeout: real.setTimeout });
    Math.random = real.random;
    delete performance.now;
    return waits;
  },

  // Leaves a stream that is to be asked for again in a minute; how many timers of a minute are left.
  async rested(client, { body, leave }) {
    const { setTimeout, clearTimeout } = globalThis;
    const left = new Set();
    const resting = new Promise((resolve) => {
      globalThis.setTimeout = (call, ms) => {
        const timer = setTimeout(call, ms);
        if (ms >= 60_000) resolve(left.add(timer));
        return timer;
      };
    });
    globalThis.clearTimeout = (timer) => {
      left.delete(timer);
      clearTimeout(timer);
    };
    const stream = client.generate(body);
    const waiting = stream.result().catch(failure);
    await resting;
    if (leave === "client") client.close();
    else await stream.close();
    await waiting;
    Object.assign(globalThis, { setTimeout, clearTimeout });
    return left.size;
  },

  // Three streams, each left when it has begun.
  async drained(client, { body }) {
    const states = [];
    client.addEventListener("link", ({ detail }) => states.push(detail.name));
    for (let count = 0; count < 3; count += 1) {
      const stream = client.generate(body);
      await stream.events().next();
      await stream.close();
    }
    await reached(states);
  },

  addressed: async (_client, { urls }) =>
    urls.map((url) => {
      try {
        return new Client(url).http.url;
      } catch (error) {
        return error.name;
      }
    }),

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
