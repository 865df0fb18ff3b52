// @ts-check
// The boxes and edges of a graph as SVG; nothing is written that has not changed.

import { SVG } from "../shared/dom.js";
import { COMPLETED, FAILED, ICONS, RUNNING, STATES, WAITING, ABANDONED, QUEUED } from "../shared/states.js";
import { number } from "../shared/words.js";

/**
 * A box as the kernel sends it; see `Box` in graph_layout.py.
 * @typedef {{key: string, shape: string, x: number, y: number, width: number, height: number,
 *   state: number, title: string, line: string, counts: number[], tip: string, row: number,
 *   opens: string, isOpen: boolean, isDimmed: boolean, path: string, kind: string,
 *   depth: number, asks: string, written: string}} GraphBox `written` is what was sent, to compare
 */

const RING = 13;
const RING_ORDER = [COMPLETED, RUNNING, FAILED, WAITING, ABANDONED, QUEUED];

/** @param {any[]} sent @returns {GraphBox} */
export function readBox(sent) {
  const [key, shape, x, y, width, height, state, title, line, counts, tip, row, opens, isOpen, isDimmed, path, kind, depth, asks] = sent;
  return { key, shape, x, y, width, height, state, title, line, counts, tip, row, opens, isOpen, isDimmed, path, kind, depth, asks, written: JSON.stringify(sent) };
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {Element} [parent]
 * @returns {SVGElement}
 */
export function svg(tag, attributes, parent) {
  const node = document.createElementNS(SVG, tag);
  for (const name in attributes) node.setAttribute(name, `${attributes[name]}`);
  parent?.append(node);
  return node;
}

/** What is said of a box by a screen reader. @param {GraphBox} box @returns {string} */
export function spoken(box) {
  const states = box.counts.map((count, state) => (count ? `${number(count)} ${STATES[state]}` : "")).filter(Boolean);
  const state = states.length ? states.join(", ") : STATES[box.state] ?? "";
  // Of several, the states are all told; who lost a race is no state.
  const line = states.length ? box.line.split(" · ").find((part) => part.endsWith("the race")) : box.line;
  return [box.title, state, line].filter(Boolean).join(", ");
}

/** Whether a click on it does something. @param {GraphBox} box */
export const isActive = (box) => box.opens !== "" || box.row >= 0 || box.asks !== "";

/** @param {GraphBox} box @returns {SVGElement} */
export function drawBox(box) {
  const state = STATES[box.state] ?? "none";
  const group = svg("g", {
    class: `ipd-box ipd-box-${box.shape} ipd-${state}${box.isDimmed ? " ipd-lost" : ""}${isActive(box) ? " ipd-active" : ""}`,
    transform: `translate(${box.x} ${box.y})`,
  });
  group.dataset.key = box.key;
  if (isActive(box)) {
    group.setAttribute("tabindex", "-1");
    group.setAttribute("role", "button");
    group.setAttribute("aria-label", spoken(box));
    if (box.opens) group.setAttribute("aria-expanded", `${box.isOpen}`);
  }
  const middle = box.height / 2;
  if (box.shape === "gap") {
    text(group, box.width / 2, 14, box.title, "ipd-gap").setAttribute("text-anchor", "middle");
    return group;
  }
  outline(group, box);
  if (box.shape === "frame" || box.shape === "group") outerTitle(group, box);
  else if (box.shape === "cell") {
    sign(group, state, 13, middle, 10);
    text(group, 24, middle + 4, box.title, "ipd-cell-title");
  } else if (box.shape === "pill") {
    if (box.state >= 0) sign(group, state, 20, middle, 12);
    const label = text(group, box.state >= 0 ? 34 : box.width / 2, middle + 4, box.title, "ipd-title");
    if (box.state < 0) label.setAttribute("text-anchor", "middle");
  } else {
    const inset = box.shape === "entity" ? 10 : 0;
    ring(group, box, 26 + inset, middle);
    sign(group, state, 26 + inset, middle, 12);
    text(group, 48 + inset, box.line ? middle - 3 : middle + 4, box.title, "ipd-title");
    text(group, 48 + inset, middle + 14, box.line, "ipd-second");
    if (box.opens) svg("path", { class: "ipd-more", d: `M${box.width - 19 - inset} ${middle - 11}l4 4l4 -4` }, group);
    failures(group, box);
  }
  return group;
}

/** @param {Element} group @param {GraphBox} box */
function outline(group, box) {
  const { width: w, height: h } = box;
  if (box.shape === "entity") {
    const cut = 14;
    svg("path", { class: "ipd-outline", d: `M${cut} 0H${w - cut}L${w} ${h / 2}L${w - cut} ${h}H${cut}L0 ${h / 2}z` }, group);
    return;
  }
  const round = { pill: 17, wait: h / 2, cell: 4, frame: 8, group: 8 }[box.shape] ?? 6;
  svg("rect", { class: "ipd-outline", width: w, height: h, rx: Math.min(round, h / 2) }, group);
}

/** @param {Element} group @param {GraphBox} box */
function outerTitle(group, box) {
  const isFrame = box.shape === "frame";
  if (isFrame) {
    svg("path", { class: "ipd-lock", d: "M12.5 11.5v-1.5a2.5 2.5 0 0 1 5 0v1.500" }, group);
    svg("rect", { class: "ipd-lock-body", x: 10, y: 11.5, width: 10, height: 6, rx: 1 }, group);
  } else svg("path", { class: "ipd-more", d: `M${box.width - 20} 16l4 -4l4 4` }, group);
  text(group, isFrame ? 25 : 11, 17, isFrame || !box.line ? box.title : `${box.title} · ${box.line}`, "ipd-outer-title");
}

/** Marks a few failures among many, where the box itself is not drawn as failed. @param {Element} group @param {GraphBox} box */
function failures(group, box) {
  const count = box.counts[FAILED] ?? 0;
  if (!count || box.state === FAILED) return;
  const words = number(count), width = 24 + 6.4 * words.length;
  const badge = svg("g", { class: "ipd-badge", transform: `translate(${box.width - width + 6} -9)` }, group);
  svg("rect", { width, height: 18, rx: 9 }, badge);
  sign(badge, "failed", 11, 9, 9);
  text(badge, 18, 13, words, "ipd-badge-count");
}

/** @param {Element} group @param {GraphBox} box @param {number} x @param {number} y */
function ring(group, box, x, y) {
  const total = box.counts.reduce((sum, count) => sum + count, 0);
  svg("circle", { class: total ? "ipd-ring" : "ipd-disc", cx: x, cy: y, r: RING }, group);
  const around = 2 * Math.PI * RING;
  let at = 0;
  for (const state of total ? RING_ORDER : []) {
    if (!box.counts[state]) continue;
    // A few failures among thousands must still be seen.
    const share = Math.max((box.counts[state] / total) * around, 2);
    svg("circle", {
      class: `ipd-share ipd-${STATES[state]}`, cx: x, cy: y, r: RING, transform: `rotate(-90 ${x} ${y})`,
      "stroke-dasharray": `${share.toFixed(1)} ${around.toFixed(1)}`, "stroke-dashoffset": (-at).toFixed(1),
    }, group);
    at += share;
  }
}

/** @param {Element} group @param {string} state @param {number} x @param {number} y @param {number} size */
function sign(group, state, x, y, size) {
  if (!(state in ICONS)) return;
  const [d, filled] = ICONS[state];
  svg("path", { class: `ipd-sign${filled ? " ipd-filled" : ""}`, d, transform: `translate(${x - size / 2} ${y - size / 2}) scale(${size / 12})` }, group);
}

/** @param {Element} group @param {number} x @param {number} y @param {string} words @param {string} name */
function text(group, x, y, words, name) {
  const node = svg("text", { class: name, x, y }, group);
  node.textContent = words;
  return node;
}
