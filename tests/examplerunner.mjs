// Runs JavaScript examples of documents as examplerunner.py does Python ones.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { format } from "node:util";

for await (const line of createInterface({ input: process.stdin })) {
  let printed = "";
  let failure = null;
  console.log = (...values) => {
    printed += `${format(...values)}\n`;
  };
  try {
    await import(pathToFileURL(line));
  } catch (error) {
    failure = error.stack ?? String(error);
  }
  process.stdout.write(`${JSON.stringify({ printed, failure })}\n`);
}
