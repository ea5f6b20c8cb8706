/** The wire format of Server-Sent Events. */

/** @typedef {{id: string, name: string, data: string}} ServerSentEvent `name` is "" without one. */

/** Splits a stream of text into events, as of the WHATWG HTML standard, 9.2.6. */
export class EventStreamParser {
  #rest = "";
  #id = "";
  #name = "";
  /** @type {string[]} */ #data = [];

  /**
   * @param {string} text the next piece, cut anywhere.
   * @returns {ServerSentEvent[]} the events it completes.
   */
  push(text) {
    /** @type {ServerSentEvent[]} */ const events = [];
    const whole = this.#rest + text;
    // A CR at the very end may be half of a CRLF.
    const usable = whole.endsWith("\r") ? whole.slice(0, -1) : whole;
    const lines = usable.split(/\r\n|\r|\n/);
    this.#rest = (lines.pop() ?? "") + whole.slice(usable.length);
    for (const line of lines) {
      const event = this.#line(line);
      if (event) events.push(event);
    }
    return events;
  }

  /** @param {string} line */
  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }

  #dispatch() {
    const event = { id: this.#id, name: this.#name, data: this.#data.join("\n") };
    const any = this.#data.length > 0;
    this.#name = "";
    this.#data = [];
    return any ? event : null;
  }
}
