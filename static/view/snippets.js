/** A request as a program would make it. */

/** @typedef {{title: string, text: string}} Snippet */

/**
 * @param {string} origin scheme, host and port of the service.
 * @param {string} recipe
 * @param {object} input
 * @returns {Snippet[]}
 */
export function snippets(origin, recipe, input) {
  const url = `${origin}/v1/${recipe}`;
  return [
    { title: "curl", text: curl(url, input) },
    { title: "Python", text: python(url, input) },
    { title: "JavaScript", text: javascript(url, input) },
  ];
}

/** @param {string} url @param {object} input */
function curl(url, input) {
  const body = JSON.stringify(input, null, 2).replaceAll("'", "'\\''");
  return `curl -N ${url} \\
  -H 'Content-Type: application/json' \\
  -H 'Accept: text/event-stream' \\
  -d '${body}'
`;
}

/** @param {string} url @param {object} input */
function python(url, input) {
  return `import json
import urllib.request

body = ${literal(input, "")}
request = urllib.request.Request(
    "${url}",
    data=json.dumps(body).encode(),
    headers={"Content-Type": "application/json", "Accept": "text/event-stream"},
)
with urllib.request.urlopen(request) as response:
    for line in response:
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line[6:])
        if event.get("type") == "text.delta":
            print(event["text"], end="", flush=True)
        elif event.get("type") in ("run.failed", "run.cancelled"):
            raise SystemExit(event)
`;
}

/** A JSON value as Python writes it. @param {unknown} value @param {string} indent @returns {string} */
function literal(value, indent) {
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

/** @param {string} url @param {object} input */
function javascript(url, input) {
  return `const response = await fetch("${url}", {
  method: "POST",
  headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
  body: JSON.stringify(${JSON.stringify(input, null, 2).replaceAll("\n", "\n  ")}),
});
if (!response.ok) throw new Error(await response.text());
let text = "";
let rest = "";
for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + piece).split("\\n");
  rest = lines.pop();
  for (const line of lines) {
    if (!line.startsWith("data: ")) continue;
    const event = JSON.parse(line.slice(6));
    if (event.type === "text.delta") text += event.text;
    if (event.type === "run.failed") throw new Error(event.error.detail);
  }
}
console.log(text);
`;
}
