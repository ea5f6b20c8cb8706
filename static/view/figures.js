/** Numbers as people read them. */

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

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
