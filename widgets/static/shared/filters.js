// @ts-check
// What a table is searched and filtered by.

import { make } from "./dom.js";
import { number } from "./words.js";

const PAUSE_MS = 180;

/** Keys typed into a field are not Jupyter's. @param {HTMLElement} node */
function keepKeys(node) {
  node.addEventListener("keydown", (event) => event.stopPropagation());
}

/**
 * A search field; tells what is looked for once the typing pauses.
 * @param {HTMLElement} parent @param {string} label @param {string} value @param {(text: string) => void} changed
 */
export function searchField(parent, label, value, changed) {
  const input = /** @type {HTMLInputElement} */ (make("input", "ipd-input", parent));
  input.type = "search";
  input.placeholder = label;
  input.setAttribute("aria-label", label);
  input.value = value;
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => changed(input.value), PAUSE_MS);
  });
  keepKeys(input);
  return input;
}

/**
 * A choice among names with counts; `""` for all.
 * @param {HTMLElement} parent @param {string} label @param {(name: string) => void} changed
 */
export function nameChoice(parent, label, changed) {
  const select = /** @type {HTMLSelectElement} */ (make("select", "ipd-input", parent));
  select.setAttribute("aria-label", label);
  select.addEventListener("change", () => changed(select.value));
  keepKeys(select);
  let shown = "";
  return {
    /** @param {[string, number][]} names @param {string} value @param {string} all */
    draw(names, value, all) {
      const key = JSON.stringify([names, value]);
      // An open list must not change under the pointer.
      if (key === shown || (document.activeElement === select && shown !== "")) return;
      shown = key;
      select.replaceChildren(new Option(all, ""));
      for (const [name, count] of names) select.append(new Option(`${name} (${number(count)})`, name));
      if (value && ![...select.options].some((one) => one.value === value)) select.append(new Option(value, value));
      select.value = value;
    },
  };
}

/**
 * A box to tick.
 * @param {HTMLElement} parent @param {string} label @param {boolean} value @param {(on: boolean) => void} changed
 */
export function checkBox(parent, label, value, changed) {
  const line = make("label", "ipd-check", parent);
  const box = /** @type {HTMLInputElement} */ (make("input", "", line));
  box.type = "checkbox";
  box.checked = value;
  line.append(label);
  box.addEventListener("change", () => changed(box.checked));
  keepKeys(line);
}
