/** Cursors, `"<epoch>-<seq>"`: whether one event follows another. */

/**
 * @param {string} last the cursor of the event before, `"0"` or `"now"` if there was none.
 * @param {string} next
 * @returns {"next"|"seen"|"hole"} `seen`: it was there before; `hole`: something is missing between.
 */
export function order(last, next) {
  const [epoch, seq] = next.split("-").map(Number);
  if (last === "now") return "next";
  const [lastEpoch, lastSeq] = last === "0" ? [epoch, 0] : last.split("-").map(Number);
  if (epoch < lastEpoch || (epoch === lastEpoch && seq <= lastSeq)) return "seen";
  return epoch === lastEpoch && seq > lastSeq + 1 ? "hole" : "next";
}
