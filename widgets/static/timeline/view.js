// @ts-check
// One mounted view of a timeline.

import { make, place, setText, syncChildren } from "../shared/dom.js";
import { COMPLETED, QUEUED, RUNNING, WAITING } from "../shared/states.js";
import { View } from "../shared/view.js";
import { SECOND, clockWords, durationWords } from "../shared/words.js";
import { bandTip, detailNodes, rowTip } from "./detail.js";
import { Head } from "./head.js";
import { BandNode, MoreNode, RowNode } from "./nodes.js";
import { RowLog, listing, quantiles } from "./rows.js";
import { Busy, TimeScale } from "./scale.js";

/** @import { Model } from "../shared/model.js" */
/** @import { Band, Detail, Header, Item, Row } from "./types.js" */

const BAND_FROM = 13;
const LISTED = 200;
const ROW_PX = 26;
const BAND_PX = 58;
const FRAME_MS = 100;
const IDLE_FRAME_MS = 1000;

/** One mounted view of a timeline. */
export class TimelineView extends View {
  /** @param {Model} model @param {HTMLElement} host */
  constructor(model, host) {
    super(model, host, "ipd-timeline");
    this.log = new RowLog();
    /** @type {(Band | Row)[]} */
    this.top = [];
    this.busy = new Busy([]);
    /** @type {Item[]} */
    this.items = [];
    /** While the pointer is over the rows they keep their places: key to position. */
    this.hovered = false;
    /** @type {Map<string, number>} */
    this.places = new Map();
    /** @type {Set<number>} groups that are open */
    this.expanded = new Set();
    /** @type {Set<number>} groups of which all rows are listed */
    this.unlimited = new Set();
    this.hideCompleted = false;
    this.active = "";
    /** @type {number | null} */
    this.selected = null;
    /** @type {Map<string, RowNode | BandNode | MoreNode>} */
    this.nodes = new Map();
    this.stale = true;
    this.relist = true;
    this.scale = new TimeScale([], 1, 1);
    this.detailShown = "";
    this.head = new Head(this.root, () => this.toggleCompleted());
    this.axis = make("div", "ipd-axis", this.root);
    this.body = make("div", "ipd-body", this.root);
    this.body.tabIndex = 0;
    this.body.setAttribute("role", "tree");
    this.body.setAttribute("aria-label", "Operations");
    this.canvas = make("div", "ipd-canvas", this.body);
    this.grid = make("div", "ipd-grid", this.canvas);
    this.panel = make("section", "ipd-detail", this.root);
    this.panel.hidden = true;
    this.tip = make("div", "ipd-tip", this.root);
    this.tip.hidden = true;
    this.follow("header", () => {
      const header = this.header;
      if (header) this.measureClock(header.start + header.now);
      this.stale = true;
    });
    this.follow("detail");
    this.attend();
    this.queue();
  }

  attend() {
    this.body.addEventListener("scroll", () => this.queue(), { passive: true });
    this.body.addEventListener("click", (event) => {
      const item = this.itemOf(event.target);
      if (item) this.activate(item);
    });
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("pointermove", (event) => this.showTip(event));
    this.body.addEventListener("pointerenter", () => (this.hovered = true));
    this.body.addEventListener("pointerleave", () => {
      this.hovered = false;
      this.relist = this.tip.hidden = true;
      this.queue();
    });
  }

  /** @returns {Header | null} */
  get header() {
    const header = this.model.get("header");
    return header && "epoch" in header ? header : null;
  }

  /** @param {Header} header @returns {number} milliseconds since the start */
  now(header) {
    return header.end ?? Math.max(header.now, this.clock() - header.start);
  }

  get isLive() {
    return !this.header?.finished;
  }

  get rhythm() {
    const header = this.header;
    if (!header || header.finished) return 0;
    const works = header.counts[QUEUED] + header.counts[RUNNING] > 0;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    return works && !calm ? FRAME_MS : IDLE_FRAME_MS;
  }

  draw() {
    const header = this.header;
    if (!header) return;
    if (this.stale) this.read(header);
    if (this.relist) this.list();
    const now = this.now(header);
    this.head.draw(header, now);
    this.layOut(this.root.clientWidth, now);
    this.drawRows(header, now);
    this.drawDetail(header, now);
  }

  /** Take in what the kernel sent. @param {Header} header */
  read(header) {
    this.stale = false;
    const epoch = this.log.epoch;
    if (!this.log.absorb(this.model, header.epoch)) return;
    if (epoch !== this.log.epoch) {
      this.expanded.clear();
      this.unlimited.clear();
      this.selected = null;
    }
    this.busy = new Busy(this.log.rows);
    this.relist = true;
  }

  /** Decide what is listed, top to bottom: what is open first, then by time. */
  list() {
    this.relist = false;
    /** @type {Map<number, Row[]>} */
    const members = new Map();
    for (const row of this.log.rows) {
      const rows = members.get(row.group);
      if (rows) rows.push(row);
      else members.set(row.group, [row]);
    }
    /** @type {{open: boolean, at: number, one: Band | Row}[]} */
    const top = [];
    for (const [group, rows] of members) {
      if (rows.length < BAND_FROM) {
        for (const row of rows) {
          if (this.hides(row)) continue;
          top.push({ open: row.state <= WAITING, at: row.index, one: row });
        }
        continue;
      }
      const open = rows.some((row) => row.state <= WAITING);
      if (this.hideCompleted && rows.every((row) => row.state === COMPLETED)) continue;
      const listed = this.expanded.has(group)
        ? this.keepPlaces(listing(rows.filter((row) => !this.hides(row))), (row) => `row ${row.index}`)
        : null;
      top.push({ open, at: rows[0].index, one: { group, rows, listed, quantiles: quantiles(rows) } });
    }
    top.sort((a, b) => Number(b.open) - Number(a.open) || a.at - b.at);
    const kept = this.keepPlaces(top, ({ one }) => ("rows" in one ? `band ${one.group}` : `row ${one.index}`));
    this.items = kept.flatMap(({ one }) => ("rows" in one ? this.bandItems(one) : [rowItem(one, 1)]));
    this.places = new Map(this.items.map((item, n) => [item.key, n]));
  }

  /**
   * Leave what was listed before in its order while the pointer is there; what is new comes last.
   * @template T
   * @param {T[]} all
   * @param {(one: T) => string} key
   * @returns {T[]}
   */
  keepPlaces(all, key) {
    if (!this.hovered) return all;
    const at = new Map(all.map((one) => [one, this.places.get(key(one)) ?? this.places.size]));
    return [...all].sort((a, b) => (at.get(a) ?? 0) - (at.get(b) ?? 0));
  }

  /** @param {Row} row */
  hides(row) {
    return this.hideCompleted && row.state === COMPLETED;
  }

  /** @param {Band} band @returns {Item[]} */
  bandItems(band) {
    /** @type {Item[]} */
    const items = [{ key: `band ${band.group}`, height: BAND_PX, level: 1, band }];
    if (!band.listed) return items;
    const limit = this.unlimited.has(band.group) ? Infinity : LISTED;
    for (const row of band.listed.slice(0, limit)) items.push(rowItem(row, 2));
    if (band.listed.length > limit) items.push({ key: `more ${band.group}`, height: ROW_PX, level: 2, more: band });
    return items;
  }

  /** @param {number} width @param {number} now */
  layOut(width, now) {
    const narrow = width < 560;
    const label = narrow ? 150 : Math.round(Math.min(300, Math.max(190, width * 0.27)));
    const right = narrow ? 10 : 84;
    this.root.classList.toggle("ipd-narrow", narrow);
    this.root.style.setProperty("--ipd-label", `${label}px`);
    this.root.style.setProperty("--ipd-right", `${right}px`);
    const height = this.items.reduce((sum, item) => sum + item.height, 0);
    this.canvas.style.height = `${height}px`;
    this.axis.hidden = this.body.hidden = !this.items.length;
    const inner = this.canvas.clientWidth || width;
    this.scale = new TimeScale(this.busy.gaps(now), now, Math.max(60, inner - label - right));
    const ticks = this.scale.ticks(narrow ? 64 : 96);
    syncChildren(this.axis, ticks.length, "ipd-tick", (node, n) => {
      setText(node, ticks[n].label);
      node.style.left = `${(label + ticks[n].x).toFixed(1)}px`;
    });
    const breaks = this.scale.segments.filter((segment) => segment.cut);
    for (const { t0, t1, x0, x1 } of breaks) {
      const node = make("div", "ipd-tick ipd-cut", this.axis, durationWords(t1 - t0));
      node.style.left = `${(label + (x0 + x1) / 2).toFixed(1)}px`;
    }
    syncChildren(this.grid, ticks.length + breaks.length, "", (node, n) => {
      const cut = breaks[n - ticks.length];
      node.className = cut ? "ipd-break" : "ipd-line";
      place(node, cut ? cut.x0 : ticks[n].x, cut ? cut.x1 - cut.x0 : 1);
    });
  }

  /** Draw the rows in sight. @param {Header} header @param {number} now */
  drawRows(header, now) {
    const from = this.body.scrollTop - 200, to = this.body.scrollTop + this.body.clientHeight + 200;
    const unseen = new Set(this.nodes.keys());
    let y = 0;
    for (const item of this.items) {
      if (y + item.height >= from && y <= to) {
        unseen.delete(item.key);
        let node = this.nodes.get(item.key);
        if (!node) {
          node = item.row ? new RowNode() : item.band ? new BandNode() : new MoreNode();
          node.element.dataset.key = item.key;
          node.element.id = `${this.id}-${item.key.replace(" ", "-")}`;
          node.element.setAttribute("role", "treeitem");
          node.element.setAttribute("aria-level", `${item.level}`);
          this.nodes.set(item.key, node);
          this.canvas.append(node.element);
        }
        node.element.style.transform = `translateY(${y}px)`;
        node.element.classList.toggle("ipd-child", item.level > 1);
        node.element.classList.toggle("ipd-active", item.key === this.active);
        node.element.classList.toggle("ipd-selected", item.row !== undefined && item.row.index === this.selected);
        node.draw(item, header, this.scale, now, this.expanded);
      }
      y += item.height;
    }
    for (const key of unseen) {
      this.nodes.get(key)?.element.remove();
      this.nodes.delete(key);
    }
    const active = this.nodes.get(this.active);
    if (active) this.body.setAttribute("aria-activedescendant", active.element.id);
  }

  toggleCompleted() {
    this.hideCompleted = !this.hideCompleted;
    this.relist = true;
    this.queue();
    return this.hideCompleted;
  }

  /** @param {EventTarget | null} target @returns {Item | undefined} */
  itemOf(target) {
    const node = target instanceof Element ? target.closest("[data-key]") : null;
    const key = node instanceof HTMLElement ? node.dataset.key : undefined;
    return this.items.find((item) => item.key === key);
  }

  /** Click or Enter: open and close a band, list the rest, show a row's detail. @param {Item} item */
  activate(item) {
    this.active = item.key;
    if (item.band) this.toggle(item.band.group);
    else if (item.more) this.unlimited.add(item.more.group);
    else if (item.row) this.select(item.row.index === this.selected ? null : item.row.index);
    this.relist = true;
    this.queue();
  }

  /** @param {number} group */
  toggle(group) {
    if (!this.expanded.delete(group)) this.expanded.add(group);
  }

  /** @param {number | null} index */
  select(index) {
    this.selected = index;
    this.model.send({ detail: index });
    this.queue();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const at = this.items.findIndex((item) => item.key === this.active);
    const item = this.items[at];
    const last = this.items.length - 1;
    const group = item?.band?.group;
    const page = Math.max(1, Math.floor(this.body.clientHeight / ROW_PX) - 1);
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, PageDown: at + page, PageUp: at - page };
    if (event.key in steps) {
      this.active = this.items[Math.min(last, Math.max(0, steps[event.key]))]?.key ?? "";
      this.scrollToActive();
    } else if ((event.key === "Enter" || event.key === " ") && item) this.activate(item);
    else if (event.key === "ArrowRight" && group !== undefined) this.expanded.add(group);
    else if (event.key === "ArrowLeft" && group !== undefined) this.expanded.delete(group);
    else if (event.key === "Escape" && this.selected !== null) this.select(null);
    else return;
    // Lab and the page have uses of their own for these keys.
    event.preventDefault();
    event.stopPropagation();
    this.relist = true;
    this.queue();
  }

  scrollToActive() {
    let y = 0;
    for (const item of this.items) {
      if (item.key === this.active) {
        const below = y + item.height - this.body.clientHeight;
        this.body.scrollTop = Math.min(y, Math.max(below, this.body.scrollTop));
        return;
      }
      y += item.height;
    }
  }

  /** @param {PointerEvent} event */
  showTip(event) {
    const item = this.itemOf(event.target), header = this.header;
    if (!item || item.more || !header) {
      this.tip.hidden = true;
      return;
    }
    const box = this.root.getBoundingClientRect(), canvas = this.canvas.getBoundingClientRect();
    const label = parseFloat(this.root.style.getPropertyValue("--ipd-label"));
    const x = event.clientX - canvas.left - label;
    const lines = item.row ? rowTip(item.row, header, this.now(header)) : bandTip(/** @type {Band} */ (item.band), header);
    if (x >= 0 && x <= this.scale.width) {
      const at = this.scale.at(x);
      lines.push(`here: ${durationWords(at)} after the start, ${clockWords(header.start + at)}`);
    }
    this.tip.replaceChildren(...lines.map((line, n) => make("div", n ? "" : "ipd-strong", null, line)));
    this.tip.hidden = false;
    const left = Math.min(event.clientX - box.left + 14, box.width - this.tip.offsetWidth - 6);
    const below = event.clientY - box.top + 18;
    const over = window.innerHeight < event.clientY + 24 + this.tip.offsetHeight;
    this.tip.style.left = `${Math.max(4, left)}px`;
    this.tip.style.top = `${over ? below - this.tip.offsetHeight - 30 : below}px`;
  }

  /** @param {Header} header @param {number} now */
  drawDetail(header, now) {
    const row = this.selected === null ? undefined : this.log.rows[this.selected];
    this.panel.hidden = !row;
    if (!row) return;
    /** @type {(Detail | null)[]} */
    const known = [this.model.get("detail"), ...(this.model.get("failures") ?? [])];
    /** @type {Detail | null} */
    const detail = known.find((one) => one?.index === row.index && one.epoch === header.epoch) ?? null;
    const key = JSON.stringify([row, detail, row.state <= WAITING ? Math.floor(now / SECOND) : 0]);
    if (key === this.detailShown) return;
    this.detailShown = key;
    this.panel.replaceChildren(...detailNodes(row, detail, header, now, () => this.select(null)));
  }
}

/** @param {Row} row @param {number} level @returns {Item} */
const rowItem = (row, level) => ({ key: `row ${row.index}`, height: ROW_PX, level, row });
