/** A dialog with a head; what stands below is its panel's. */

import { byId, make, setText } from "./element.js";

const CROSS = "M3.5 3.5 12.5 12.5M12.5 3.5 3.5 12.5";

/** Modal. Esc closes it, and the focus goes back to what has opened it. */
export class Sheet {
  /**
   * @param {string} name id of the dialog, and of the button `<name>-open`.
   * @param {string} title
   * @param {{opened: () => void, closed?: () => void}} handlers
   * @param {...Node} children
   */
  constructor(name, title, { opened, closed }, ...children) {
    this.opened = opened;
    const close = make("button", { type: "button", class: "icon", id: `${name}-close`, "aria-label": `Close: ${title}`,
      title: "Close (Esc)", onclick: () => this.close() }, cross()); // prettier-ignore
    this.numbers = make("dl", { class: "numbers" });
    this.complaint = make("p", { class: "complaint", role: "alert", hidden: true });
    const head = make("header", { class: "sheet-head" }, make("h2", { id: `${name}-title` }, title), this.numbers, close);
    /** @type {HTMLDialogElement} */
    this.dialog = make("dialog", { class: `sheet ${name}`, id: name, "aria-labelledby": `${name}-title` },
      head, this.complaint, ...children); // prettier-ignore
    document.body.append(this.dialog);
    byId(`${name}-open`).addEventListener("click", () => this.open());
    this.dialog.addEventListener("close", () => closed?.());
  }

  open() {
    if (this.dialog.open) return;
    this.dialog.showModal();
    this.opened();
  }

  close() {
    this.dialog.close();
  }

  /** @param {string} text what is wrong; "" = nothing. */
  complain(text) {
    setText(this.complaint, text);
    this.complaint.hidden = !text;
  }

  /** The figures of the head, in order. @param {[string, string][]} figures word and value. */
  figures(figures) {
    const list = this.numbers;
    while (list.childElementCount > figures.length) list.lastElementChild.remove();
    figures.forEach(([word, value], place) => {
      const row = list.children[place] ?? list.appendChild(make("div", {}, make("dt"), make("dd")));
      setText(row.children[0], word);
      setText(row.children[1], value);
    });
  }
}

function cross() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", CROSS);
  svg.append(path);
  return svg;
}
