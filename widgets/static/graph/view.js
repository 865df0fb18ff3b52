// @ts-check
// One mounted view of a graph: zoom, pan, keyboard, tooltip, detail.

import { Commands } from "../shared/commands.js";
import { make, setAttribute, setText } from "../shared/dom.js";
import { Forms } from "../shared/forms.js";
import { WAITING } from "../shared/states.js";
import { View } from "../shared/view.js";
import { steadyFor } from "../shared/words.js";
import { detailNodes } from "../timeline/detail.js";
import { Head } from "../timeline/head.js";
import { readRow } from "../timeline/rows.js";
import { drawBox, isActive, readBox, spoken, svg } from "./boxes.js";

/** @import { Model } from "../shared/model.js" */
/** @import { More } from "../timeline/types.js" */
/** @import { GraphBox } from "./boxes.js" */

const PARTS = 16;
const MARGIN = 14;
const MIN_HEIGHT = 120;
const MAX_HEIGHT = 560;
const STEP = 1.25;
const MOVED_PX = 4;
const SECOND = 1000;
const READABLE = 0.8;
/** However long a graph is, its steps are never smaller unless somebody zooms out. */
const SMALLEST = 0.15;
const NARROW = 560;
/** From so many boxes on only those in sight are in the page. */
const MANY = 400;
const BEYOND_PX = 300;
/** Below this size nothing that is written in small boxes can be read, and none of it is drawn. */
const FAR = 0.4;

/** One mounted view of a graph. */
export class GraphView extends View {
  /**
   * @param {Model} model @param {HTMLElement} host
   * @param {Forms} [forms] where people answer, if that is not here
   */
  constructor(model, host, forms) {
    super(model, host, "ipd-graph");
    this.commands = new Commands(model);
    /** @type {Map<string, GraphBox>} */
    this.boxes = new Map();
    /** @type {Map<string, {node: SVGElement, box: GraphBox}>} those that are in the page */
    this.nodes = new Map();
    /** @type {{sent: string, boxes: GraphBox[]}[]} what came last, and what it says */
    this.parts = Array.from({ length: PARTS }, () => ({ sent: "[]", boxes: [] }));
    /** @type {Map<string, {node: SVGElement, sent: string}>} */
    this.edges = new Map();
    /** Whether the whole graph is kept in view as it grows. */
    this.fits = true;
    /** Whether that was asked for, so that it may get as small as it must. */
    this.whole = false;
    this.scale = 1;
    this.left = 0;
    this.top = 0;
    this.everything = false;
    this.current = "";
    this.epoch = -1;
    this.stale = true;
    this.detailShown = "";
    /** @type {Map<string, More>} what else is known of a row, by path and number */
    this.more = new Map();
    this.heading = new Head(this.root);
    this.own = forms ? null : new Forms(this.root, this.commands, this.id);
    this.forms = forms ?? /** @type {Forms} */ (this.own);
    const frame = make("div", "ipd-graph-frame", this.root);
    const tools = make("div", "ipd-graph-tools", frame);
    this.stage = make("div", "ipd-stage", frame);
    this.all = this.tool(tools, "Show all", "Draw every node, however many", () => {
      this.everything = !this.everything;
      this.model.send({ everything: this.everything });
    });
    this.tool(tools, "−", "Zoom out", () => this.zoom(1 / STEP));
    this.tool(tools, "+", "Zoom in", () => this.zoom(STEP));
    this.fit = this.tool(tools, "Fit", "Keep all of it in view", () => {
      this.fits = this.whole = true;
      this.queue();
    });
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "group");
    this.canvas = svg("svg", {}, this.stage);
    const arrow = svg("marker", { id: `${this.id}-arrow`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerUnits: "userSpaceOnUse", markerWidth: 9, markerHeight: 9, orient: "auto-start-reverse" }, svg("defs", {}, this.canvas));
    svg("path", { class: "ipd-arrow", d: "M1 1 7 4 1 7" }, arrow);
    this.world = svg("g", {}, this.canvas);
    /** @type {SVGElement[]} edges, frames and groups by depth, each above those before */
    this.layers = [];
    this.inner = svg("g", {}, this.world);
    this.panel = make("section", "ipd-detail", this.root);
    this.panel.hidden = true;
    this.panel.setAttribute("aria-live", "polite");
    this.tip = make("div", "ipd-tip ipd-graph-tip", this.root);
    this.tip.hidden = true;
    this.follow("head", () => {
      const head = this.head;
      if (head) this.measureClock(head.start + head.now);
      if (head && head.epoch !== this.epoch) this.more.clear();
      this.epoch = head?.epoch;
      this.stale = true;
    });
    for (let n = 0; n < PARTS; n++) this.follow(`boxes_${n}`, () => (this.stale = true));
    this.follow("links", () => (this.stale = true));
    this.follow("detail");
    this.follow("forms");
    this.attend();
    this.queue();
  }

  /** @param {HTMLElement} parent @param {string} words @param {string} help @param {() => void} act */
  tool(parent, words, help, act) {
    const button = make("button", "ipd-button", parent, words);
    button.setAttribute("type", "button");
    button.setAttribute("aria-label", help);
    button.title = help;
    button.addEventListener("click", act);
    return button;
  }

  attend() {
    this.stage.addEventListener("wheel", (event) => {
      // A page must scroll past a graph: only a pinch or ctrl zooms.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const at = this.stage.getBoundingClientRect();
      this.zoom(event.deltaY < 0 ? STEP : 1 / STEP, event.clientX - at.left, event.clientY - at.top);
    }, { passive: false });
    /** @type {{x: number, y: number, left: number, top: number, moved: boolean} | null} */
    let drag = null;
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      drag = { x: event.clientX, y: event.clientY, left: this.left, top: this.top, moved: false };
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!drag) {
        this.showTip(event);
        return;
      }
      const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
      if (!drag.moved && Math.hypot(dx, dy) < MOVED_PX) return;
      if (!drag.moved) this.stage.setPointerCapture(event.pointerId);
      drag.moved = true;
      this.fits = false;
      this.tip.hidden = true;
      this.stage.classList.add("ipd-dragged");
      this.left = drag.left + dx;
      this.top = drag.top + dy;
      this.queue();
    });
    const drop = () => {
      this.stage.classList.remove("ipd-dragged");
      drag = null;
    };
    this.stage.addEventListener("pointerup", (event) => {
      const moved = drag?.moved;
      drop();
      const box = moved ? null : this.boxOf(event.target);
      if (box) this.activate(box);
    });
    this.stage.addEventListener("pointercancel", drop);
    this.stage.addEventListener("pointerleave", () => (this.tip.hidden = true));
    this.stage.addEventListener("keydown", (event) => this.key(event));
  }

  /** @returns {any} */
  get head() {
    const head = this.model.get("head");
    return head && "epoch" in head ? head : null;
  }

  get isLive() {
    return !this.head?.finished;
  }

  get rhythm() {
    const head = this.head;
    return this.isLive && head ? steadyFor(this.clock() - head.start) : 0;
  }

  draw() {
    const head = this.head;
    if (!head) return;
    if (this.stale) this.read();
    this.drawHead(head);
    const can = !this.isCut && (this.model.get("commands") ?? []).includes("answer");
    this.own?.draw(this.model.get("forms") ?? [], this.clock(), can, this.connection !== "");
    this.place(head);
    this.drawBoxes();
    this.drawDetail();
  }

  /** Take in what the kernel sent; boxes that are as they were stay the same objects. */
  read() {
    this.stale = false;
    this.boxes.clear();
    for (const [n, part] of this.parts.entries()) {
      const sent = this.model.get(`boxes_${n}`) ?? "[]";
      if (sent !== part.sent) {
        const before = new Map(part.boxes.map((box) => [box.key, box]));
        part.boxes = JSON.parse(sent).map((/** @type {any[]} */ one) => {
          const known = before.get(one[0]);
          return known && known.written === JSON.stringify(one) ? known : readBox(one);
        });
        part.sent = sent;
      }
      for (const box of part.boxes) this.boxes.set(box.key, box);
    }
    this.readEdges();
  }

  readEdges() {
    const gone = new Set(this.edges.keys());
    for (const sent of JSON.parse(this.model.get("links") ?? "[]")) {
      const [key, path, kind, isDimmed, depth, isStrong] = sent, written = JSON.stringify(sent);
      gone.delete(key);
      const known = this.edges.get(key);
      if (known?.sent === written) continue;
      const node = known?.node ?? svg("path", { "marker-end": `url(#${this.id}-arrow)` }, this.layer(depth, 0));
      node.setAttribute("class", `ipd-edge ipd-${kind}${isDimmed ? " ipd-lost" : ""}${isStrong ? " ipd-won" : ""}`);
      node.setAttribute("d", path);
      if (kind === "call") node.setAttribute("marker-start", `url(#${this.id}-arrow)`);
      this.edges.set(key, { node, sent: written });
    }
    for (const key of gone) {
      this.edges.get(key)?.node.remove();
      this.edges.delete(key);
    }
  }

  /** Have in the page what is to be seen of the boxes, each drawn anew if it changed. */
  drawBoxes() {
    const beyond = BEYOND_PX / this.scale;
    const x0 = -this.left / this.scale - beyond, x1 = x0 + this.stage.clientWidth / this.scale + 2 * beyond;
    const y0 = -this.top / this.scale - beyond, y1 = y0 + this.stage.clientHeight / this.scale + 2 * beyond;
    const isMany = this.boxes.size > MANY;
    this.root.classList.toggle("ipd-far", isMany && this.scale < FAR);
    for (const [key, { node }] of this.nodes) {
      if (this.boxes.has(key)) continue;
      node.remove();
      this.nodes.delete(key);
    }
    for (const box of this.boxes.values()) {
      const known = this.nodes.get(box.key);
      const isSeen = !isMany || (box.x < x1 && box.x + box.width > x0 && box.y < y1 && box.y + box.height > y0);
      if (!isSeen) {
        known?.node.remove();
        this.nodes.delete(box.key);
      } else if (known?.box !== box) this.drawOne(box, known?.node);
    }
  }

  /** @param {GraphBox} box @param {SVGElement} [known] what it is drawn as until now */
  drawOne(box, known) {
    const node = drawBox(box), layer = this.layerOf(box);
    if (box.key === this.current) node.classList.add("ipd-current");
    // A node that was opened or closed moves behind or before the edges.
    if (known?.parentNode === layer) known.replaceWith(node);
    else {
      known?.remove();
      layer.append(node);
    }
    this.nodes.set(box.key, { node, box });
  }

  /**
   * Groups hide the edges that pass behind them, and lie below what stands in them.
   * @param {number} depth @param {number} place 0 for edges, 1 for frames, 2 for groups
   */
  layer(depth, place) {
    const wanted = 3 * depth + place;
    while (this.layers.length <= wanted) {
      const made = svg("g", {});
      this.inner.before(made);
      this.layers.push(made);
    }
    return this.layers[wanted];
  }

  /** @param {GraphBox} box */
  layerOf(box) {
    if (box.shape === "frame") return this.layer(box.depth, 1);
    return box.shape === "group" ? this.layer(box.depth, 2) : this.inner;
  }

  /** @param {any} head */
  drawHead(head) {
    this.heading.draw(head, head.end ?? Math.max(head.now, this.clock() - head.start), this.isLive && this.connection !== "");
    if (this.all.hidden === head.is_cut) this.all.hidden = !head.is_cut;
    setText(this.all, this.everything ? "Show fewer" : "Show all");
    setAttribute(this.fit, "aria-pressed", `${this.fits}`);
    setAttribute(this.stage, "aria-label", `Graph of ${head.name}: arrow keys move between steps, Enter opens one`);
  }

  /** Fit, or stay where the reader has moved to. @param {any} head */
  place(head) {
    const width = this.stage.clientWidth;
    this.root.classList.toggle("ipd-narrow", width < NARROW);
    const whole = head.height + 2 * MARGIN;
    const fitting = Math.min(1, width / (head.width + 2 * MARGIN));
    const height = Math.round(Math.min(MAX_HEIGHT, Math.max(MIN_HEIGHT, whole * fitting)));
    if (this.stage.style.height !== `${height}px`) this.stage.style.height = `${height}px`;
    if (this.fits) {
      // Unasked it never gets too small to be read: the rest is reached by dragging.
      this.scale = Math.max(Math.min(fitting, height / whole), Math.min(fitting, this.whole ? SMALLEST : READABLE));
      this.left = (width - head.width * this.scale) / 2;
      this.top = Math.max(MARGIN * this.scale, (height - head.height * this.scale) / 2);
    }
    const moved = `translate(${this.left.toFixed(1)} ${this.top.toFixed(1)}) scale(${this.scale.toFixed(4)})`;
    if (this.world.getAttribute("transform") !== moved) this.world.setAttribute("transform", moved);
  }

  /** @param {number} factor @param {number} [x] what stays in its place @param {number} [y] */
  zoom(factor, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    const scale = Math.min(4, Math.max(0.05, this.scale * factor)), real = scale / this.scale;
    this.fits = false;
    this.left = x - (x - this.left) * real;
    this.top = y - (y - this.top) * real;
    this.scale = scale;
    this.queue();
  }

  /** @param {EventTarget | null} target @returns {GraphBox | null} */
  boxOf(target) {
    const node = target instanceof Element ? target.closest("[data-key]") : null;
    return node instanceof SVGElement ? this.boxes.get(node.dataset.key ?? "") ?? null : null;
  }

  /** Open what stands for several, show the detail of one. @param {GraphBox} box */
  activate(box) {
    if (!isActive(box)) return;
    this.select(box.key);
    if (box.opens) this.model.send({ toggle: box.opens });
    if (box.row >= 0) this.showDetail(box);
    if (box.asks) this.forms.focus(box.asks);
  }

  /** Have the kernel tell all about a row. @param {GraphBox} box */
  showDetail({ path, row }) {
    this.model.send({ detail: [path, row] });
    if (!(this.model.get("commands") ?? []).includes("more")) return;
    /** @param {More} more */
    const take = (more) => {
      this.more.set(`${path} ${row}`, more);
      this.queue();
    };
    this.commands.ask("more", { path, index: row }).then(take, () => take({}));
  }

  destroy() {
    this.commands.close();
    super.destroy();
  }

  /** @param {string} key */
  select(key) {
    this.nodes.get(this.current)?.node.classList.remove("ipd-current");
    this.current = key;
    const box = this.boxes.get(key);
    this.nodes.get(key)?.node.classList.add("ipd-current");
    if (box) this.stage.setAttribute("aria-description", spoken(box));
  }

  /** Move a box into sight, as far as it is not. @param {GraphBox} box */
  reveal(box) {
    const room = MARGIN * this.scale, { clientWidth: width, clientHeight: height } = this.stage;
    const left = box.x * this.scale + this.left, top = box.y * this.scale + this.top;
    const dx = Math.max(room - left, Math.min(0, width - room - left - box.width * this.scale));
    const dy = Math.max(room - top, Math.min(0, height - room - top - box.height * this.scale));
    if (!dx && !dy) return;
    this.fits = false;
    this.left += dx;
    this.top += dy;
    this.queue();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const active = [...this.boxes.values()].filter(isActive);
    const at = active.findIndex((box) => box.key === this.current);
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (step) {
      const next = active[Math.min(active.length - 1, Math.max(0, at + step))];
      if (next) {
        this.select(next.key);
        this.reveal(next);
      }
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) this.activate(active[at]);
    else if (event.key === "Escape") this.model.send({ detail: null });
    else if (event.key === "+" || event.key === "-") this.zoom(event.key === "+" ? STEP : 1 / STEP);
    else if (event.key === "0") {
      this.fits = this.whole = true;
      this.queue();
    } else return;
    // Jupyter has meanings of its own for these keys.
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {PointerEvent} event */
  showTip(event) {
    const box = this.boxOf(event.target);
    this.tip.hidden = !box?.tip;
    if (!box?.tip) return;
    setText(this.tip, box.tip);
    const at = this.root.getBoundingClientRect();
    const x = Math.min(event.clientX - at.left + 12, this.root.clientWidth - this.tip.offsetWidth - 4);
    this.tip.style.left = `${Math.max(0, x)}px`;
    this.tip.style.top = `${event.clientY - at.top + 16}px`;
  }

  drawDetail() {
    const told = this.model.get("detail") ?? {};
    const isShown = "row" in told;
    if (this.panel.hidden === isShown) this.panel.hidden = !isShown;
    if (!isShown) {
      this.detailShown = "";
      return;
    }
    const row = { ...readRow(told.row), group: 0 }, now = this.clock() - told.start;
    const more = this.more.get(`${told.path} ${row.index}`) ?? null;
    const shown = JSON.stringify([told, more, this.connection, row.state <= WAITING ? Math.floor(now / SECOND) : 0]);
    if (shown === this.detailShown) return;
    this.detailShown = shown;
    const header = { ...this.head, groups: [told.group] };
    const all = { row, header, detail: told.detail, more, now, start: told.start, live: !this.connection };
    this.panel.replaceChildren(...detailNodes(all, () => this.model.send({ detail: null })));
  }
}
