// @ts-check
// One mounted view of a timeline.

import { Commands } from "../shared/commands.js";
import { make, place, setText, syncChildren } from "../shared/dom.js";
import { Forms } from "../shared/forms.js";
import { QUEUED, RUNNING, WAITING } from "../shared/states.js";
import { View } from "../shared/view.js";
import { SECOND, durationWords, steadyFor, utcWords, zonedWords } from "../shared/words.js";
import { detailNodes, tipLines } from "./detail.js";
import { Head } from "./head.js";
import { handleKey } from "./keys.js";
import { List, keyOf, openedBy } from "./list.js";
import { BandNode, MoreNode, RowNode, WaitNode, WordsNode } from "./nodes.js";
import { Overview } from "./overview.js";
import { RowLog } from "./rows.js";
import { Busy, TimeScale } from "./scale.js";
import { Switch } from "./switch.js";
import { Toolbar } from "./toolbar.js";
import { Zoom, brush } from "./zoom.js";

/** @import { Model } from "../shared/model.js" */
/** @import { Band, Detail, Header, Item, More, Row, Source, Span } from "./types.js" */

const FRAME_MS = 100;
const IDLE_FRAME_MS = 1000;
const SEEN_BEYOND_PX = 200;

export class TimelineView extends View {
  /** @param {Model} model @param {HTMLElement} host */
  constructor(model, host) {
    super(model, host, "ipd-timeline");
    this.log = new RowLog();
    this.list = new List(this.log);
    this.busy = new Busy([]);
    this.zoom = new Zoom(() => this.queue());
    this.commands = new Commands(model);
    /** The key of the earlier execution that is shown; empty for the present one. */
    this.page = "";
    this.active = "";
    /** The key of the row whose detail is shown. */
    this.selected = "";
    /** @type {Map<string, RowNode | BandNode | MoreNode | WaitNode | WordsNode>} */
    this.nodes = new Map();
    this.stale = this.relist = true;
    this.scale = new TimeScale([], 1, 1);
    this.detailShown = "";
    /** The end of the axis in milliseconds. */
    this.end = 1;
    this.labelWidth = 200;
    this.head = new Head(this.root);
    this.forms = new Forms(this.root, this.commands, this.id);
    this.toolbar = new Toolbar(this.root, {
      search: (text) => this.change(() => (this.list.query = text)),
      hide: () => this.change(() => (this.list.hideCompleted = !this.list.hideCompleted)),
      zoom: (factor) => this.zoomBy(factor),
      fit: () => this.zoom.fit(),
      follow: () => this.toggleFollow(),
      page: (generation) => this.turnTo(generation),
    }, this.commands);
    this.switch = new Switch(model, this.commands, this.toolbar.element, this.root, this.forms, () => this.queue());
    this.overview = new Overview(this.root, (t0, t1) => this.zoom.look(t0, t1, this.end));
    this.axis = make("div", "ipd-axis", this.root);
    this.axis.title = "Drag to zoom, double-click to see all of it";
    this.body = make("div", "ipd-body", this.root);
    this.body.tabIndex = 0;
    this.body.setAttribute("role", "tree");
    this.body.setAttribute("aria-label", "Operations");
    this.canvas = make("div", "ipd-canvas", this.body);
    this.grid = make("div", "ipd-grid", this.canvas);
    this.nothing = make("div", "ipd-dim ipd-nothing", this.root);
    this.panel = make("section", "ipd-detail", this.root);
    this.panel.hidden = true;
    this.panel.setAttribute("aria-label", "Detail");
    this.tip = make("div", "ipd-tip", this.root);
    this.tip.hidden = true;
    this.follow("header", () => {
      const header = this.header;
      if (!header) return;
      this.measureClock(header.start + header.now);
      this.root.dataset.heardAt = `${header.start + header.now}`;
      this.stale = true;
    });
    this.follow("details");
    this.follow("forms");
    this.attend();
    this.queue();
  }

  attend() {
    this.body.addEventListener("scroll", () => this.queue(), { passive: true });
    this.body.addEventListener("click", (event) => {
      const item = this.itemOf(event.target);
      const onChevron = event.target instanceof Element && event.target.closest("[data-state=open]") !== null;
      if (item) this.activate(item, onChevron);
    });
    this.body.addEventListener("keydown", (event) => handleKey(this, event));
    this.body.addEventListener("pointermove", (event) => this.showTip(event));
    this.body.addEventListener("pointerenter", () => (this.list.still = true));
    this.body.addEventListener("pointerleave", () => {
      this.list.still = false;
      this.tip.hidden = true;
      this.change(() => {});
    });
    this.body.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    for (const element of [this.axis, this.canvas]) {
      const axis = () => ({ scale: this.scale, left: this.canvas.getBoundingClientRect().left + this.labelWidth });
      brush(element, this.root, axis, (t0, t1) => this.zoom.look(t0, t1, this.end));
    }
    this.axis.addEventListener("dblclick", () => this.zoom.fit());
    this.panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.select("");
      // Lab has uses of its own for most keys.
      event.stopPropagation();
    });
  }

  destroy() {
    this.switch.destroy();
    this.commands.close();
    super.destroy();
  }

  /** @returns {Header | null} */
  get header() {
    const header = this.model.get("header");
    return header && "epoch" in header ? header : null;
  }

  /** @param {Header} header @returns {Source | undefined} the earlier execution that is looked at */
  pageOf(header) {
    return this.page ? header.sources?.find((one) => one.key === this.page) : undefined;
  }

  /** @param {Header} header @returns {number} milliseconds since its start */
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
    if (works) return calm ? IDLE_FRAME_MS : FRAME_MS;
    return this.zoom.follows ? IDLE_FRAME_MS : this.steadyFor(header);
  }

  /** While nothing is at work only words change: for how long none will. @param {Header} header */
  steadyFor(header) {
    const now = this.end, spans = header.awaited.map((one) => now - one.since);
    for (const { row } of this.list.items) {
      if (!row || row.state > WAITING) continue;
      spans.push(now - row.spans[row.spans.length - 1][0]);
      if (row.due !== null) spans.push(row.due - now);
    }
    return Math.min(steadyFor(now), ...spans.map(steadyFor));
  }

  draw() {
    const all = this.header;
    if (!all) return;
    if (this.stale) this.read(all);
    const page = this.pageOf(all), header = page?.header ?? all, slot = page?.slot ?? 0;
    if (this.relist) {
      this.list.update(all, header, slot);
      this.busy = new Busy(this.log.sources.get(slot) ?? []);
      this.relist = false;
    }
    const now = this.end = this.now(header);
    const rows = this.log.sources.get(slot) ?? [];
    this.head.draw(header, now, this.isLive && this.connection !== "");
    const commands = this.connection ? [] : this.model.get("commands") ?? [];
    // The kernel goes on asking, also the host after this one; without a kernel nobody would take it.
    const can = !this.isCut && (this.model.get("commands") ?? []).includes("answer");
    this.forms.draw(page ? [] : this.model.get("forms") ?? [], this.clock(), can, this.connection !== "");
    const isGraph = this.switch.draw(commands.includes("look"), page !== undefined);
    this.root.classList.toggle("ipd-as-graph", isGraph);
    this.toolbar.draw(all, header, commands, this.zoom.window !== null, this.zoom.follows, isGraph ? 0 : rows.length);
    if (isGraph) return;
    this.layOut(this.root.clientWidth, now, rows);
    this.drawRows(now);
    this.drawDetail(header, now);
  }

  /** Take in what the kernel sent. @param {Header} header */
  read(header) {
    this.stale = false;
    this.relist = true;
    const epoch = this.log.epoch;
    this.log.absorb(this.model, header.epoch);
    if (epoch === this.log.epoch || epoch === -1) return;
    this.list.reset();
    this.select("");
    this.zoom.fit();
  }

  /** Change what is listed. @template T @param {() => T} how @returns {T} */
  change(how) {
    const made = how();
    this.relist = true;
    this.queue();
    return made;
  }

  /** @param {number} width @param {number} now @param {Row[]} rows */
  layOut(width, now, rows) {
    const narrow = width < 560;
    this.labelWidth = narrow ? 150 : Math.round(Math.min(320, Math.max(200, width * 0.28)));
    const right = narrow ? 10 : 84;
    this.root.classList.toggle("ipd-narrow", narrow);
    this.root.classList.toggle("ipd-flat", !this.list.items.some((item) => item.band || item.row?.target || item.level > 1));
    const sizes = [["--ipd-label", `${this.labelWidth}px`], ["--ipd-right", `${right}px`]];
    for (const [name, size] of sizes) {
      if (this.root.style.getPropertyValue(name) !== size) this.root.style.setProperty(name, size);
    }
    const height = this.list.items.reduce((sum, item) => sum + item.height, 0);
    if (this.canvas.style.height !== `${height}px`) this.canvas.style.height = `${height}px`;
    const hidden = rows.length > 0 && !this.list.items.length;
    this.nothing.hidden = !hidden;
    if (hidden) setText(this.nothing, this.list.query ? `No operation matches "${this.list.query}".` : "All operations have completed, and are hidden.");
    this.axis.hidden = this.body.hidden = !this.list.items.length;
    const plot = Math.max(60, (this.canvas.clientWidth || width) - this.labelWidth - right);
    const cuts = this.busy.gaps(now), window = this.zoom.at(now);
    this.scale = window ? new TimeScale(cuts, window[1], plot, window[0]) : new TimeScale(cuts, now, plot);
    this.overview.draw(rows, window ? new TimeScale(cuts, now, plot) : this.scale, now, window);
    this.drawAxis(narrow);
  }

  /** @param {boolean} narrow */
  drawAxis(narrow) {
    const ticks = this.scale.ticks(narrow ? 64 : 96);
    const breaks = this.scale.segments.filter((segment) => segment.cut);
    syncChildren(this.axis, ticks.length + breaks.length, "", (node, n) => {
      const cut = breaks[n - ticks.length];
      const words = cut ? durationWords(cut.t1 - cut.t0) : ticks[n].label;
      const title = cut ? `Nothing ran for ${words}` : "", looks = cut ? "ipd-tick ipd-cut" : "ipd-tick";
      const left = `${(this.labelWidth + (cut ? (cut.x0 + cut.x1) / 2 : ticks[n].x)).toFixed(1)}px`;
      setText(node, words);
      if (node.title !== title) node.title = title;
      if (node.className !== looks) node.className = looks;
      if (node.style.left !== left) node.style.left = left;
    });
    syncChildren(this.grid, ticks.length + breaks.length, "", (node, n) => {
      const cut = breaks[n - ticks.length];
      const looks = cut ? "ipd-break" : "ipd-line";
      if (node.className !== looks) node.className = looks;
      place(node, cut ? cut.x0 : ticks[n].x, cut ? cut.x1 - cut.x0 : 1);
    });
  }

  /** Draw the rows in sight. @param {number} now */
  drawRows(now) {
    const from = this.body.scrollTop - SEEN_BEYOND_PX, to = this.body.scrollTop + this.body.clientHeight + SEEN_BEYOND_PX;
    const unseen = new Set(this.nodes.keys());
    let y = 0;
    for (const item of this.list.items) {
      if (y + item.height >= from && y <= to) {
        unseen.delete(item.key);
        const node = this.nodeOf(item);
        const moved = `translateY(${y}px)`;
        if (node.element.style.transform !== moved) node.element.style.transform = moved;
        const level = `${item.level - 1}`;
        if (node.element.style.getPropertyValue("--ipd-level") !== level) node.element.style.setProperty("--ipd-level", level);
        node.element.classList.toggle("ipd-active", item.key === this.active);
        node.element.classList.toggle("ipd-selected", item.key === this.selected);
        node.draw(item, this.scale, now);
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

  /** @param {Item} item */
  nodeOf(item) {
    const known = this.nodes.get(item.key);
    if (known) return known;
    const Kind = item.row ? RowNode : item.band ? BandNode : item.more ? MoreNode : item.wait ? WaitNode : WordsNode;
    const node = new Kind();
    node.element.dataset.key = item.key;
    node.element.id = `${this.id}-${item.key.replace(/\W/g, "-")}`;
    node.element.setAttribute("role", "treeitem");
    node.element.setAttribute("aria-level", `${item.level}`);
    this.nodes.set(item.key, node);
    this.canvas.append(node.element);
    return node;
  }

  /** @param {EventTarget | null} target @returns {Item | undefined} */
  itemOf(target) {
    const node = target instanceof Element ? target.closest("[data-key]") : null;
    const key = node instanceof HTMLElement ? node.dataset.key : undefined;
    return this.list.items.find((item) => item.key === key);
  }

  /**
   * Click or Enter: open and close a band or child, list the rest, show a row's detail.
   * @param {Item} item @param {boolean} [onChevron]
   */
  activate(item, onChevron = false) {
    this.active = item.key;
    if (item.band || (item.row?.target && onChevron)) this.setOpen(item, !item.open);
    else if (item.more) this.change(() => this.list.unlimited.add(/** @type {Band} */ (item.more).id));
    else if (item.row) this.select(keyOf(item.row) === this.selected ? "" : keyOf(item.row));
    else if (item.wait && !this.forms.focus(item.wait.name)) this.toolbar.raise(item.wait.name);
    this.queue();
  }

  /** Open or close a band or a sub-orchestration. @param {Item} item @param {boolean} open */
  setOpen(item, open) {
    const { band, row } = item;
    if (band) this.change(() => (open ? this.list.expanded.add(band.id) : this.list.expanded.delete(band.id)));
    if (!row?.target) return;
    const key = openedBy(row);
    this.change(() => (open ? this.list.opened.add(key) : this.list.opened.delete(key)));
    if (open && row.target.startsWith("@")) this.askMore(row);
    else if (open) this.commands.ask("open", { key }).catch(() => this.setOpen(item, false));
  }

  /** Show another execution of the instance. @param {number} generation */
  turnTo(generation) {
    const header = this.header;
    if (!header) return;
    this.page = generation === header.generation ? "" : `generation:${generation}`;
    this.list.reset();
    this.select("");
    this.zoom.fit();
    if (this.page) this.commands.ask("open", { key: this.page }).catch(() => this.change(() => (this.page = "")));
    this.change(() => {});
  }

  /** Show a row's detail, or none. @param {string} key */
  select(key) {
    this.selected = key;
    const row = this.rowAt(key);
    if (row) {
      this.model.send({ detail: [row.source, row.index] });
      this.askMore(row);
    }
    this.queue();
  }

  /** Have the kernel tell what else is known of a row. @param {Row} row */
  askMore(row) {
    if (!(this.model.get("commands") ?? []).includes("more")) return;
    /** @param {More} more */
    const take = (more) => this.change(() => this.list.more.set(keyOf(row), more));
    this.commands.ask("more", { source: row.source, index: row.index }).then(take, () => take({}));
  }

  /** @param {string} key @returns {Row | undefined} a row, its times as they are shown */
  rowAt(key) {
    return this.list.items.find((item) => item.row && item.key === key)?.row;
  }

  /** @param {number} factor @param {number} [at] */
  zoomBy(factor, at) {
    const [t0, t1] = this.zoom.window ?? [0, this.end];
    this.zoom.by(factor, at ?? (this.zoom.follows ? t1 : (t0 + t1) / 2), this.end);
  }

  toggleFollow() {
    const header = this.header;
    if (header && !header.finished && !this.page) this.zoom.toggleFollow(this.now(header));
  }

  /** Zoom with Ctrl, pan with Shift; without either the page scrolls. @param {WheelEvent} event */
  wheel(event) {
    const x = event.clientX - this.canvas.getBoundingClientRect().left - this.labelWidth;
    if (event.ctrlKey || event.metaKey) this.zoomBy(event.deltaY > 0 ? 1.25 : 0.8, this.scale.at(Math.max(0, x)));
    else if (event.shiftKey && this.zoom.window) this.zoom.pan(Math.sign(event.deltaY || event.deltaX) * 0.1, this.end);
    else return;
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  showTip(event) {
    const item = this.itemOf(event.target), all = this.header;
    const lines = item && all ? tipLines(item, this.end) : [];
    this.tip.hidden = !lines.length || event.buttons !== 0;
    if (!all || this.tip.hidden) return;
    const box = this.root.getBoundingClientRect(), canvas = this.canvas.getBoundingClientRect();
    const x = event.clientX - canvas.left - this.labelWidth;
    if (x >= 0 && x <= this.scale.width) {
      const at = this.scale.at(x), start = this.pageOf(all)?.header.start ?? all.start;
      lines.push(`${durationWords(at)} after the start, ${zonedWords(start + at)}`, utcWords(start + at));
    }
    this.tip.replaceChildren(...lines.map((line, n) => make("div", n ? "" : "ipd-strong", null, line)));
    const left = Math.min(event.clientX - box.left + 14, box.width - this.tip.offsetWidth - 6);
    const below = event.clientY - box.top + 18;
    const over = window.innerHeight < event.clientY + 24 + this.tip.offsetHeight;
    this.tip.style.left = `${Math.max(4, left)}px`;
    this.tip.style.top = `${over ? below - this.tip.offsetHeight - 30 : below}px`;
  }

  /** @param {Header} header @param {number} now */
  drawDetail(header, now) {
    const item = this.selected ? this.list.items.find((one) => one.key === this.selected && one.row) : undefined;
    const row = item?.row;
    this.panel.hidden = !row;
    if (!item || !row) return;
    /** @type {(Detail | undefined)[]} */
    const known = [...(this.model.get("details") ?? []), ...(this.model.get("failures") ?? [])];
    const detail = known.find((one) => one && keyOf(/** @type {any} */ (one)) === this.selected && one.epoch === item.header.epoch) ?? null;
    const more = this.list.more.get(this.selected) ?? null;
    const key = JSON.stringify([row, detail, more, this.connection, row.state <= WAITING ? Math.floor(now / SECOND) : 0]);
    if (key === this.detailShown) return;
    this.detailShown = key;
    // The row's times count from the start of what is shown; those of its attempts from its own.
    const shown = { row, header: item.header, detail: moved(detail, item.header.start - header.start), more, now, start: header.start, live: !this.connection };
    this.panel.replaceChildren(...detailNodes(shown, () => this.select("")));
  }
}

/** @param {Detail | null} detail @param {number} by @returns {Detail | null} the same with its times moved */
function moved(detail, by) {
  if (!detail || !by) return detail;
  const attempts = detail.attempts.map((attempt) => {
    const [scheduled, started, ended, outcome] = attempt.span;
    /** @type {Span} */
    const span = [scheduled + by, started === null ? null : started + by, ended === null ? null : ended + by, outcome];
    return { ...attempt, span };
  });
  return { ...detail, attempts };
}
