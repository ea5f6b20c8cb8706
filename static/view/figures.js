/** Numbers as people read them. */

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const HUNDREDTH = new Intl.NumberFormat("en", { maximumFractionDigits: 2, minimumFractionDigits: 2 });
const CENTS = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });

/** @type {[string, number][]} */
const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60]];

export const NONE = "\u2013";

/** @param {number|null|undefined} value */
export function whole(value) {
  return value == null ? NONE : WHOLE.format(value);
}

/** @param {number|null} rate per second. */
export function perSecond(rate) {
  return rate === null ? NONE : rate > 0 && rate < 100 ? TENTH.format(rate) : WHOLE.format(rate);
}

/** @param {number|null|undefined} ms */
export function duration(ms) {
  if (ms == null) return NONE;
  if (ms < 1_000) return `${WHOLE.format(ms)} ms`;
  if (ms < 60_000) return `${TENTH.format(ms / 1_000)} s`;
  const seconds = Math.floor(ms / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} min`;
}

/** @param {number} count @param {string} noun in the singular. */
export function counted(count, noun) {
  return `${WHOLE.format(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A time that need not be exact: one unit, nothing behind the point. @param {number} seconds */
export function span(seconds) {
  const [unit, length] = UNITS.find(([, length]) => seconds >= 2 * length) ?? ["s", 1];
  return `${WHOLE.format(Math.floor(seconds / length))} ${unit}`;
}

/** @param {number|null|undefined} bytes */
export function size(bytes) {
  if (bytes == null) return NONE;
  if (bytes < 1_000) return `${WHOLE.format(bytes)} B`;
  const [unit, least] = bytes < 1_000_000 ? ["kB", 1_000] : ["MB", 1_000_000];
  return `${TENTH.format(bytes / least)} ${unit}`;
}

/** An amount of an unnamed currency; small ones are not rounded to nothing. @param {number} amount */
export function money(amount) {
  return (amount < 1 ? CENTS : HUNDREDTH).format(amount);
}

/** @param {number|null|undefined} part 0 to 1. */
export function percent(part) {
  return part == null ? NONE : `${WHOLE.format(part * 100)} %`;
}
