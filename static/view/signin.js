/** The client key: asked for when the service wants one, kept in this tab only. */

import { service } from "../service.js";
import { asProblem } from "../wire/problem.js";
import { byId, make, setText } from "./element.js";

const STORED = "llm-stream.key";
const GIVEN = "given"; // what the dialog returns when it got a key that holds

/**
 * Modal while it is open, but Esc leaves it: what is on the page stays readable without a key. Who
 * has left it is not asked again for the same reason; the button in the status bar opens it.
 */
export class SignIn {
  #button = byId("sign");
  /** Whether a key is being tried, so that its refusal is told once. */ #trying = false;
  #left = false;
  /** From its opening until it is known how it was left; `close` is told later than it is closed. */ #asking = false;

  /** @param {{signedIn: () => void, signedOut: () => void}} handlers `signedOut` has to take everything off the page. */
  constructor({ signedIn, signedOut }) {
    this.signedIn = signedIn;
    this.signedOut = signedOut;
    this.field = make("input", { id: "sign-key", type: "password", autocomplete: "off", spellcheck: "false",
      placeholder: "lls_\u2026", required: true, "aria-describedby": "sign-hint" }); // prettier-ignore
    this.why = make("p", { id: "sign-why" });
    this.complaint = make("p", { class: "complaint", role: "alert", hidden: true });
    this.submit = make("button", { type: "submit", class: "primary" }, "Sign in");
    const form = make("form", { class: "stack", novalidate: true }, this.why,
      make("label", { class: "field" }, make("span", {}, "Client key"), this.field), this.complaint,
      make("p", { class: "hint", id: "sign-hint" }, "It is kept in this tab\u2019s sessionStorage and nowhere else, until the tab is closed or you sign out, and sent to this service only. Operators make keys with ",
        make("code", {}, "llm-stream clients add"), "; ", make("a", { href: "/docs/security", target: "_blank", rel: "noopener" }, "more on keys"), "."),
      make("div", { class: "sign-acts" }, this.submit,
        make("button", { type: "button", onclick: () => this.dialog.close() }, "Not now"))); // prettier-ignore
    form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.#try(this.field.value.trim());
    });
    /** @type {HTMLDialogElement} */
    this.dialog = make("dialog", { class: "sheet sign", id: "sign-in", "aria-labelledby": "sign-title", "aria-describedby": "sign-why" },
      make("h2", { id: "sign-title" }, "Sign in"), form); // prettier-ignore
    this.dialog.addEventListener("close", () => {
      if (this.dialog.open) return; // opened again meanwhile
      this.#asking = false;
      this.field.value = "";
      this.#left = this.dialog.returnValue !== GIVEN;
    });
    document.body.append(this.dialog);
    this.#button.addEventListener("click", () => (service.key ? this.#signOut() : this.#ask()));
    service.addEventListener("unauthenticated", () => this.#refused());
    service.key = stored();
    this.#show();
  }

  /** The service wants a key, or another one. */
  #refused() {
    this.#button.hidden = false;
    if (!this.#trying && !this.#left && !this.#asking) this.#ask();
  }

  #ask() {
    setText(this.why, service.key
      ? "The service does not take the key of this tab any more: it was revoked, has expired, or is another service\u2019s."
      : "This service answers those who have a client key."); // prettier-ignore
    this.#complain("");
    this.#asking = true;
    this.dialog.returnValue = "";
    this.dialog.showModal();
    this.field.focus();
  }

  /** @param {string} key */
  async #try(key) {
    if (this.#trying) return;
    if (!/^[\x21-\x7e]+$/.test(key)) {
      this.#complain(key ? "A key has letters, digits and _ only." : "Paste a client key.");
      return;
    }
    const before = service.key;
    this.#trying = this.submit.disabled = true;
    service.http.key = key; // the socket is opened when the key is known to hold
    try {
      await service.http.call("GET", "/v1/models");
      service.key = key;
      store(key);
      this.dialog.close(GIVEN);
      this.#show();
      // Runs on the page are whose key they were opened with.
      if (before && clientOf(before) !== clientOf(key)) this.signedOut();
      else this.signedIn();
    } catch (error) {
      service.http.key = before;
      const { status, title, detail } = asProblem(error);
      this.#complain(status === 401 ? "The service does not know this key, or it has expired." : `${title}. ${detail}`);
    } finally {
      this.#trying = this.submit.disabled = false;
    }
  }

  /** @param {string} text what is wrong; "" = nothing. */
  #complain(text) {
    setText(this.complaint, text);
    this.complaint.hidden = !text;
    this.field.toggleAttribute("aria-invalid", false);
    if (!text) return;
    this.field.setAttribute("aria-invalid", "true");
    this.field.select();
    this.field.focus();
  }

  #signOut() {
    store("");
    service.http.key = "";
    this.signedOut();
  }

  #show() {
    const signedIn = service.key !== "";
    if (signedIn) this.#button.hidden = false;
    setText(this.#button, signedIn ? "Sign out" : "Sign in");
    this.#button.title = signedIn ? "Forgets the key and takes everything off this page" : "With a client key";
    this.#button.toggleAttribute("aria-haspopup", false);
    if (!signedIn) this.#button.setAttribute("aria-haspopup", "dialog");
  }
}

/** Who a key belongs to: it looks like `lls_<id>_<secret>_<checksum>`. @param {string} key */
function clientOf(key) {
  return key.split("_")[1];
}

function stored() {
  try {
    return sessionStorage.getItem(STORED) ?? "";
  } catch {
    return ""; // storage is switched off: the key lasts as long as the page
  }
}

/** @param {string} key "" = none. */
function store(key) {
  try {
    if (key) sessionStorage.setItem(STORED, key);
    else sessionStorage.removeItem(STORED);
  } catch {
    // Storage is switched off.
  }
}
