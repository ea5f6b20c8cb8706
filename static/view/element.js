/** Elements: found, made, cloned. Strings become text, never markup. */

/**
 * @param {string} tag
 * @param {Record<string, string|number|boolean|((event: any) => void)|null|undefined>} [attributes]
 *   `onclick` and the like take a function; false, null and undefined leave the attribute out.
 * @param {...(Node|string)} children
 * @returns {any} the element.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** The element with an id, which the page has. @param {string} id @returns {any} */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no element "${id}".`);
  return element;
}

/** The first match below, which is there. @param {ParentNode} root @param {string} selector @returns {any} */
export function find(root, selector) {
  const element = root.querySelector(selector);
  if (!element) throw new Error(`The page has no "${selector}".`);
  return element;
}

/** A copy of a template's only element. @param {string} id @returns {any} */
export function clone(id) {
  return byId(id).content.firstElementChild.cloneNode(true);
}

/** Set text only if it differs, so that nothing is laid out in vain. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
