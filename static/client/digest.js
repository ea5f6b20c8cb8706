/** Whether the text that was put together is the text the service has sent. */

/**
 * @param {string} text
 * @param {string} sha256 of its UTF-8 bytes, in hex.
 * @returns {Promise<"equal"|"differs"|"unchecked">} `unchecked`: browsers hash only on HTTPS and
 *   on this machine.
 */
export async function compare(text, sha256) {
  if (!globalThis.crypto?.subtle) return "unchecked";
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const hex = [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex === sha256 ? "equal" : "differs";
}
