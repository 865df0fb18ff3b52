// @ts-check
// Making and changing nodes; nothing is written that has not changed.

import { ICONS } from "./states.js";

export const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {string} [name] class
 * @param {Element | null} [parent]
 * @param {string} [text]
 * @returns {HTMLElement}
 */
export function make(tag, name = "", parent = null, text = "") {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

/** @param {string} state @param {Element} parent @returns {SVGElement} */
export function icon(state, parent) {
  const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  parent.append(svg);
  setIcon(svg, state);
  return svg;
}

/** @param {SVGElement} svg @param {string} state */
export function setIcon(svg, state) {
  if (svg.dataset.state === state) return;
  svg.dataset.state = state;
  const [path, filled] = ICONS[state];
  svg.setAttribute("class", `ipd-icon ipd-${state}${filled ? " ipd-filled" : ""}`);
  svg.firstElementChild?.setAttribute("d", path);
}

/** Write text only where it changed. @param {Element} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Write an attribute only where it changed. @param {Element} node @param {string} name @param {string} value */
export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** @param {HTMLElement} node @param {number} left @param {number} width */
export function place(node, left, width) {
  const l = `${left.toFixed(1)}px`, w = `${width.toFixed(1)}px`;
  if (node.style.left !== l) node.style.left = l;
  if (node.style.width !== w) node.style.width = w;
}

/** JSON as people read it, where it is whole. @param {string} text */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/**
 * Make a node have `count` children and let `write` bring each up to date.
 * @param {Element} parent
 * @param {number} count
 * @param {string} name
 * @param {(node: HTMLElement, n: number) => void} write
 */
export function syncChildren(parent, count, name, write) {
  while (parent.childElementCount > count) parent.lastElementChild?.remove();
  while (parent.childElementCount < count) make("div", name, parent);
  for (let n = 0; n < count; n++) {
    const node = /** @type {HTMLElement} */ (parent.children[n]);
    if (name && node.className !== name) node.className = name;
    write(node, n);
  }
}
