/** A request in Python: with the project's client where it has a word for it, else without. */

/** @import {Call, Known} from "./snippets.js" */

/** @param {string} origin @param {Call} call @param {Known} known @param {boolean} keyed */
export function python(origin, call, known, keyed) {
  if (!known.name) return plain(origin, call, keyed);
  const key = keyed ? "  # its key: LLM_STREAM_KEY" : "";
  const begin = `from llm_stream.client import Client

`;
  const open = `with Client(${JSON.stringify(origin)}) as client:${key}
`;
  if (known.name === "run") {
    return `${begin}body = ${literal(call.body, "")}
${open}    with client.run(${JSON.stringify(known.subject)}, body) as stream:
${known.subject === "generate" || known.subject === "reason" ? TEXT : ITEMS}`;
  }
  if (known.name === "follow") {
    return `${begin}${open}    with client.follow(${JSON.stringify(known.subject)}) as stream:
        for event in stream.events():
            print(event)
`;
  }
  const given = known.subject ? [JSON.stringify(known.subject)] : named(call.body ?? known.query);
  return `${begin}${open}    print(client.${known.name}(${given.join(", ")}))
`;
}

const TEXT = `        for piece in stream.text():
            print(piece, end="", flush=True)
`;

const ITEMS = `        for item in stream.items():
            print(item)
        print(stream.result().result)
`;

/** @param {Record<string, unknown>} values */
function named(values) {
  return Object.entries(values).map(([name, value]) => {
    const number = typeof value === "string" && /^\d{1,9}$/.test(value);
    return `${name}=${number ? value : literal(value, "    ")}`;
  });
}

/** @param {string} origin @param {Call} call @param {boolean} keyed */
function plain(origin, { method, path, body, headers = {} }, keyed) {
  const said = Object.entries(headers).map(([name, value]) => `        ${JSON.stringify(name)}: ${JSON.stringify(value)},\n`);
  if (keyed) said.push(`        "Authorization": "Bearer " + os.environ["LLM_STREAM_KEY"],\n`);
  if (body !== undefined) said.push(`        "Content-Type": "application/json",\n`);
  const data = body === undefined ? "" : `    data=json.dumps(${literal(body, "    ")}).encode(),\n`;
  const imports = [...(data ? ["import json"] : []), ...(keyed ? ["import os"] : []), "import urllib.request"];
  return `${imports.join("\n")}

request = urllib.request.Request(
    ${JSON.stringify(origin + path)},
    method=${JSON.stringify(method)},
${data}${said.length ? `    headers={\n${said.join("")}    },\n` : ""})
with urllib.request.urlopen(request) as response:
    print(response.read().decode())
`;
}

/** A JSON value as Python writes it. @param {unknown} value @param {string} indent @returns {string} */
export function literal(value, indent) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const parts = Object.entries(value).map(([name, item]) => {
    const label = Array.isArray(value) ? "" : `${JSON.stringify(name)}: `;
    return `${inner}${label}${literal(item, inner)},\n`;
  });
  return parts.length ? `${open}\n${parts.join("")}${indent}${close}` : open + close;
}
