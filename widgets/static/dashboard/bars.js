// @ts-check
// Instances over time: a bar for each stretch, stacked by status; by pointer and by keyboard.

import { make, setText, SVG } from "../shared/dom.js";
import { STATUS_STATE } from "../shared/states.js";
import { clockWords, DAY, durationWords, number, zoneWords } from "../shared/words.js";

/** @import { Histogram } from "./types.js" */

const HEIGHT = 74;
const LEAST = 2;
const GAP = 1;
const PATTERNED = new Set(["failed", "running", "waiting"]);

/** @param {string} tag @param {Record<string, string | number>} attributes @param {Element} parent */
function svg(tag, attributes, parent) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, `${value}`);
  parent.append(node);
  return node;
}

/** The histogram. */
export class Bars {
  /** @param {HTMLElement} parent @param {string} id tells its patterns from those of others @param {(from: number, to: number) => void} choose */
  constructor(parent, id, choose) {
    this.id = id;
    this.choose = choose;
    this.root = make("div", "ipd-bars-box", parent);
    this.canvas = /** @type {SVGSVGElement} */ (svg("svg", { class: "ipd-histogram", tabindex: 0, role: "img", preserveAspectRatio: "none" }, this.root));
    this.definePatterns();
    this.stage = svg("g", {}, this.canvas);
    this.cursor = svg("rect", { class: "ipd-hist-cursor", y: 0, height: HEIGHT }, this.canvas);
    this.axis = make("div", "ipd-dim ipd-bars-axis", this.root);
    for (let n = 0; n < 3; n++) make("span", "", this.axis);
    this.tip = make("div", "ipd-tip ipd-bars-tip", this.root);
    this.tip.setAttribute("role", "status");
    this.tip.hidden = true;
    this.at = -1;
    this.step = 1;
    this.drawn = "";
    /** @type {Histogram | null} */
    this.shown = null;
    this.canvas.addEventListener("pointermove", (event) => this.point(this.placeOf(event)));
    this.canvas.addEventListener("pointerleave", () => this.point(-1));
    this.canvas.addEventListener("blur", () => this.point(-1));
    this.canvas.addEventListener("click", (event) => this.pick(this.placeOf(event)));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** A pattern goes with the colour, so that statuses are told apart without it. */
  definePatterns() {
    const all = svg("defs", {}, this.canvas);
    for (const state of PATTERNED) {
      const turn = { failed: 45, running: -45, waiting: 0 }[state] ?? 0;
      const one = svg("pattern", { id: `${this.id}-${state}`, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${turn})` }, all);
      svg("rect", { class: `ipd-hist-bar ipd-${state}`, width: 5, height: 5 }, one);
      svg("rect", { class: "ipd-hist-line", width: state === "waiting" ? 5 : 1.6, height: state === "waiting" ? 1.6 : 5 }, one);
    }
  }

  /** @param {Histogram} histogram */
  draw(histogram) {
    const width = this.root.clientWidth, key = JSON.stringify([width, histogram]);
    if (key === this.drawn || !width) return;
    this.drawn = key;
    this.shown = histogram;
    this.root.classList.toggle("ipd-nothing", !histogram.bins.some((bin) => bin.some(Boolean)));
    const { bins, statuses, start } = histogram;
    this.canvas.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.canvas.style.height = `${HEIGHT}px`;
    const sums = bins.map((bin) => bin.reduce((sum, one) => sum + one, 0)), most = Math.max(1, ...sums);
    this.step = width / Math.max(1, bins.length);
    this.stage.replaceChildren();
    bins.forEach((bin, n) => {
      let top = HEIGHT;
      bin.forEach((count, s) => {
        if (!count) return;
        const high = Math.max(LEAST, (count / most) * (HEIGHT - 12));
        top -= high;
        const state = STATUS_STATE[statuses[s]] ?? "queued";
        const bar = svg("rect", { class: `ipd-hist-bar ipd-${state}`, x: (n * this.step + GAP / 2).toFixed(2), y: top.toFixed(2), width: Math.max(0.5, this.step - GAP).toFixed(2), height: high.toFixed(2) }, this.stage);
        if (PATTERNED.has(state)) /** @type {SVGElement} */ (bar).style.fill = `url(#${this.id}-${state})`;
      });
    });
    const total = sums.reduce((sum, one) => sum + one, 0);
    this.canvas.setAttribute("aria-label", `${number(total)} instances from ${this.words(start)} on, by when they were created; arrow keys tell each stretch, Enter lists it`);
    setText(this.axis.children[0], `${this.words(start)} ${zoneWords(start)}`);
    setText(this.axis.children[1], `${durationWords(histogram.width, true)} a bar, at most ${number(most)}`);
    setText(this.axis.children[2], "now");
    if (this.at >= 0) this.point(this.at);
  }

  /** @param {number} at */
  words(at) {
    const day = (this.shown?.width ?? 0) >= DAY;
    return day ? new Date(at).toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" }) : clockWords(at);
  }

  /** @param {MouseEvent} event */
  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return Math.floor((event.clientX - box.left) / this.step);
  }

  /** Tell what a bar stands for. @param {number} place */
  point(place) {
    const shown = this.shown, bin = shown?.bins[place];
    this.at = bin ? place : -1;
    this.tip.hidden = !bin;
    this.cursor.toggleAttribute("hidden", !bin);
    if (!bin || !shown) return;
    const step = this.step, from = shown.start + place * shown.width;
    this.cursor.setAttribute("x", `${place * step}`);
    this.cursor.setAttribute("width", `${step}`);
    const counts = shown.statuses.map((status, s) => [status, bin[s]]).filter(([, count]) => count);
    const told = counts.map(([status, count]) => `${number(/** @type {number} */ (count))} ${status}`).join(", ");
    setText(this.tip, `${this.words(from)}, ${durationWords(shown.width, true)}: ${told || "none"}`);
    const left = Math.min(place * step, Math.max(0, this.root.clientWidth - this.tip.offsetWidth - 2));
    this.tip.style.left = `${left}px`;
  }

  /** @param {number} place */
  pick(place) {
    const shown = this.shown;
    if (!shown?.bins[place]) return;
    const from = shown.start + place * shown.width;
    this.choose(from, from + shown.width);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const last = (this.shown?.bins.length ?? 0) - 1;
    const moves = /** @type {Record<string, number>} */ ({ ArrowLeft: this.at < 0 ? last : this.at - 1, ArrowRight: this.at + 1, Home: 0, End: last });
    if (event.key in moves) this.point(Math.max(0, Math.min(last, moves[event.key])));
    else if (event.key === "Enter" && this.at >= 0) this.pick(this.at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
