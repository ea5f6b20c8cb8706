// Runs JavaScript examples of documents as examplerunner.py does Python ones.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const answer = process.stdout.write.bind(process.stdout);
let printed = "";
process.stdout.write = (piece) => {
  printed += piece;
  return true;
};

for await (const line of createInterface({ input: process.stdin })) {
  printed = "";
  let failure = null;
  try {
    await import(pathToFileURL(line));
  } catch (error) {
    failure = error.stack ?? String(error);
  }
  answer(`${JSON.stringify({ printed, failure })}\n`);
}
