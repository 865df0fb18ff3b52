// @ts-check
// The fields of a form: how each is filled in, read, and checked before it is sent. The host checks
// again; what is wrong is said in the same words.

import { make } from "./dom.js";

/**
 * @typedef {string | number | boolean} Scalar
 * @typedef {{name: string, kind?: string, label?: string, help?: string, default?: Scalar | null,
 *   is_optional?: boolean, choices?: {value: Scalar, label?: string}[], enum?: string,
 *   minimum?: number | null, maximum?: number | null, is_long?: boolean}} Field
 * @typedef {{field: Field, problem: string, read(): Scalar | null, isBad(): boolean,
 *   complain(problem: string): void, focus(): void}} Input
 */

const NEEDED = "this is needed";
/** As many choices are seen at once; more are a list. */
const SEEN = 4;

/** What people read. @param {Field} field @returns {string} */
export function labelOf(field) {
  const words = field.name.replaceAll("_", " ").trim();
  return field.label || (words ? words[0].toUpperCase() + words.slice(1).toLowerCase() : field.name);
}

/** @param {Field} field @returns {boolean} */
export const isNeeded = (field) => (field.default ?? null) === null && !field.is_optional;

/**
 * What is wrong with a value, in words; empty if nothing is.
 * @param {Field} field @param {Scalar | null} value @param {boolean} bad whether what was typed is no such value
 * @returns {string}
 */
export function problemOf(field, value, bad) {
  const kind = field.kind ?? "text";
  if (bad) return { integer: "a whole number is wanted", number: "a number is wanted", date: "a date is wanted" }[kind] ?? "this does not fit";
  if (value === null || value === "") {
    const mayBeEmpty = field.is_optional || (kind === "text" && (field.default ?? null) !== null);
    return mayBeEmpty ? "" : NEEDED;
  }
  if (kind !== "integer" && kind !== "number") return "";
  if (kind === "integer" && !/^\s*[+-]?\d+\s*$/.test(String(value))) return "a whole number is wanted";
  if (!Number.isFinite(Number(value))) return "a number is wanted";
  if ((field.minimum ?? null) !== null && Number(value) < Number(field.minimum)) return `it must be at least ${field.minimum}`;
  if ((field.maximum ?? null) !== null && Number(value) > Number(field.maximum)) return `it must be at most ${field.maximum}`;
  return "";
}

/**
 * Make what a field is filled in with, below a grid of labels and inputs.
 * @param {Field} field @param {HTMLElement} grid @param {string} id unique on the page @returns {Input}
 */
export function input(field, grid, id) {
  const choices = choicesOf(field), radios = choices !== null && choices.length <= SEEN;
  const label = make(radios ? "span" : "label", "ipd-form-label", grid, labelOf(field));
  label.id = `${id}-label`;
  if (!radios) label.setAttribute("for", id);
  if (!isNeeded(field)) make("span", "ipd-dim", label, field.is_optional ? " (optional)" : "");
  const cell = make("div", "ipd-form-cell", grid);
  const made = radios ? radioGroup(choices, field, cell, id) : choices ? select(choices, field, cell, id) : box(field, cell, id);
  const help = [field.help, limits(field)].filter(Boolean).join(" · ");
  const notes = make("div", "ipd-form-help ipd-dim", cell, help);
  notes.id = `${id}-help`;
  notes.hidden = !help;
  const wrong = make("div", "ipd-form-problem", cell);
  wrong.id = `${id}-problem`;
  wrong.hidden = true;
  made.element.setAttribute("aria-describedby", `${id}-help ${id}-problem`);
  if (isNeeded(field)) made.element.setAttribute("aria-required", "true");
  /** @type {Input} */
  const found = {
    field, problem: "", read: made.read, isBad: made.isBad ?? (() => false), focus: made.focus,
    complain(problem) {
      found.problem = problem;
      wrong.hidden = !problem;
      wrong.textContent = problem;
      made.element.setAttribute("aria-invalid", String(Boolean(problem)));
    },
  };
  // What was complained of is looked at again as soon as it changes.
  cell.addEventListener("input", () => found.problem && found.complain(problemOf(field, found.read(), found.isBad())));
  return found;
}

/**
 * @typedef {{element: HTMLElement, read(): Scalar | null, isBad?(): boolean, focus(): void}} Made
 */

/** @param {Field} field @returns {{value: Scalar, label: string}[] | null} */
function choicesOf(field) {
  if (field.kind === "boolean") return [{ value: true, label: "Yes" }, { value: false, label: "No" }];
  if (field.kind !== "choice") return null;
  return (field.choices ?? []).map(({ value, label }) => ({ value, label: label || String(value) }));
}

/** @param {{value: Scalar, label: string}[]} choices @param {Field} field @param {HTMLElement} cell @param {string} id @returns {Made} */
function radioGroup(choices, field, cell, id) {
  const group = make("div", "ipd-form-radios", cell);
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-labelledby", `${id}-label`);
  const all = field.is_optional ? [...choices, { value: null, label: "—" }] : choices;
  const radios = all.map(({ value, label }) => {
    const one = make("label", "ipd-form-radio", group);
    const radio = /** @type {HTMLInputElement} */ (make("input", "", one));
    radio.type = "radio";
    radio.name = id;
    radio.checked = value === (field.default ?? null) && (value !== null || Boolean(field.is_optional));
    make("span", "", one, label);
    return radio;
  });
  return {
    element: group,
    read: () => all[radios.findIndex((one) => one.checked)]?.value ?? null,
    focus: () => (radios.find((one) => one.checked) ?? radios[0]).focus(),
  };
}

/** @param {{value: Scalar, label: string}[]} choices @param {Field} field @param {HTMLElement} cell @param {string} id @returns {Made} */
function select(choices, field, cell, id) {
  const list = /** @type {HTMLSelectElement} */ (make("select", "ipd-input", cell));
  list.id = id;
  const preset = (field.default ?? null) !== null;
  if (!preset || field.is_optional) make("option", "", list, field.is_optional ? "—" : "Choose …");
  const before = list.options.length;
  for (const { label } of choices) make("option", "", list, label);
  list.selectedIndex = preset ? before + choices.findIndex((one) => one.value === field.default) : 0;
  return { element: list, read: () => choices[list.selectedIndex - before]?.value ?? null, focus: () => list.focus() };
}

/** @param {Field} field @param {HTMLElement} cell @param {string} id @returns {Made} */
function box(field, cell, id) {
  const kind = field.kind ?? "text";
  const node = /** @type {HTMLInputElement} */ (make(field.is_long ? "textarea" : "input", "ipd-input", cell));
  node.id = id;
  if (field.is_long) node.setAttribute("rows", "3");
  else node.type = { integer: "number", number: "number", date: "date" }[kind] ?? "text";
  if (kind === "number") node.step = "any";
  if ((field.default ?? null) !== null) node.value = String(field.default);
  return {
    element: node,
    // As text: the host reads whole numbers of any size.
    read: () => (node.value === "" && (kind !== "text" || (field.is_optional && node.value === "")) ? null : node.value),
    isBad: () => node.validity.badInput,
    focus: () => node.focus(),
  };
}

/** @param {Field} field @returns {string} */
function limits(field) {
  const least = field.minimum ?? null, most = field.maximum ?? null;
  if (least !== null && most !== null) return `${least} to ${most}`;
  if (least !== null) return `at least ${least}`;
  return most !== null ? `at most ${most}` : "";
}
