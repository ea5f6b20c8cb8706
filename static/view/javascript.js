/** A request in JavaScript: with the project's client where it has a word for it, else with `fetch`. */

/** @import {Call, Known} from "./snippets.js" */

/** @param {string} origin @param {Call} call @param {Known} known @param {boolean} keyed */
export function javascript(origin, call, known, keyed) {
  if (!known.name) return plain(origin, call, keyed);
  const begin = `const { Client } = await import(${JSON.stringify(`${origin}/static/client.js`)}); // in Node a copy: "./client.js"

${keyed ? KEY : ""}const client = new Client(${JSON.stringify(origin)}${keyed ? ", { key }" : ""});
`;
  if (known.name === "run" || known.name === "follow") {
    const asked = known.name === "run" ? `${known.subject}(${json(call.body)})` : `follow(${json(known.subject)})`;
    return `${begin}const stream = client.${asked};
${known.name === "follow" ? EVENTS : known.subject === "generate" || known.subject === "reason" ? TEXT : ITEMS}client.close();
`;
  }
  const given = known.subject ? [known.subject] : [call.body ?? known.query].filter((value) => Object.keys(value).length);
  return `${begin}console.log(await client.${known.name}(${given.map(json).join(", ")}));
client.close();
`;
}

const KEY = `const key = globalThis.process?.env.LLM_STREAM_KEY ?? prompt("Client key");
`;

const TEXT = `let text = "";
for await (const piece of stream.text()) text += piece;
console.log(text);
`;

const ITEMS = `for await (const item of stream.items()) console.log(item);
console.log((await stream.result()).result);
`;

const EVENTS = `for await (const event of stream.events()) console.log(event);
`;

/** @param {unknown} value */
function json(value) {
  return JSON.stringify(value, null, 2);
}

/** @param {string} origin @param {Call} call @param {boolean} keyed */
function plain(origin, { method, path, body, headers = {} }, keyed) {
  const said = Object.entries(headers).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  if (keyed) said.push("Authorization: `Bearer ${key}`");
  if (body !== undefined) said.push('"Content-Type": "application/json"');
  const parts = [`method: ${JSON.stringify(method)}`];
  if (said.length) parts.push(`headers: { ${said.join(", ")} }`);
  if (body !== undefined) parts.push(`body: JSON.stringify(${json(body).replaceAll("\n", "\n  ")})`);
  return `${keyed ? KEY : ""}const response = await fetch(${JSON.stringify(origin + path)}, {
  ${parts.join(",\n  ")},
});
if (!response.ok) throw new Error(await response.text());
console.log(await response.text());
`;
}
