/** Form fields for the options of a model, made from their JSON Schema. */

import { make } from "./element.js";

/**
 * @typedef {object} OptionField
 * @property {string} name
 * @property {HTMLElement} element
 * @property {() => unknown} read undefined = left to the model.
 * @property {(value: unknown) => void} write
 * @property {(other: OptionField|undefined) => void} keep what was set for the same option of
 *   another model.
 * @property {any} input
 */

/** @param {{properties?: Record<string, any>}} schema @returns {OptionField[]} */
export function optionFields(schema) {
  return Object.entries(schema?.properties ?? {}).map(([name, property]) => field(name, property));
}

/** @param {string} name @param {any} property @returns {OptionField} */
function field(name, property) {
  // pydantic writes an optional number as anyOf [number, null].
  const branches = property.anyOf ?? property.oneOf ?? [property];
  const kinds = branches.filter((/** @type {any} */ branch) => branch.type !== "null");
  const kind = kinds.length === 1 ? { ...property, ...kinds[0] } : { ...property, type: "json" };
  const made = control(kind);
  made.input.name = `option.${name}`;
  if (kind.description) made.input.title = kind.description;
  const element = make("label", { class: "field" }, make("span", {}, name), made.input);
  const keep = (/** @type {OptionField|undefined} */ other) => {
    if (other && other.input.tagName === made.input.tagName) made.input.value = other.input.value;
  };
  return { name, element, keep, ...made };
}

/** @param {any} kind @returns {{input: any, read: () => unknown, write: (value: any) => void}} */
function control(kind) {
  if (kind.enum) return choice(kind.enum);
  if (kind.type === "boolean") return choice([true, false]);
  if (kind.type === "integer" || kind.type === "number") return number(kind);
  if (kind.type === "string") return text((value) => value, (value) => value);
  return text(JSON.parse, JSON.stringify, "JSON");
}

/** @param {unknown[]} values */
function choice(values) {
  const input = make("select", {}, make("option", { value: "" }, "as the model likes"));
  values.forEach((value, place) => input.append(make("option", { value: place }, String(value))));
  return {
    input,
    read: () => (input.value === "" ? undefined : values[Number(input.value)]),
    write: (/** @type {unknown} */ value) => {
      const place = values.indexOf(value);
      input.value = place < 0 ? "" : String(place);
    },
  };
}

/** @param {any} kind */
function number(kind) {
  const input = make("input", {
    type: "number",
    inputmode: kind.type === "integer" ? "numeric" : "decimal",
    step: kind.type === "integer" ? 1 : "any",
    min: kind.minimum,
    max: kind.maximum,
    placeholder: kind.default ?? "as the model likes",
  });
  return {
    input,
    read: () => (input.value === "" ? undefined : Number(input.value)),
    write: (/** @type {unknown} */ value) => (input.value = value === undefined ? "" : String(value)),
  };
}

/**
 * @param {(text: string) => unknown} parse
 * @param {(value: any) => string} print
 * @param {string} [placeholder]
 */
function text(parse, print, placeholder = "as the model likes") {
  const input = make("input", { type: "text", placeholder });
  return {
    input,
    read: () => (input.value === "" ? undefined : parse(input.value)),
    write: (/** @type {unknown} */ value) => (input.value = value === undefined ? "" : print(value)),
  };
}
