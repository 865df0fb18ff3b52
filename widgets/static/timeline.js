// @ts-check
// The timeline of an orchestration: a plain ES module for anywidget, without imports or build.
// State comes in the model's traits (see timeline.py): `header`, the row log in `page_0` … and
// `detail`. Bars grow by the browser's clock; the kernel only tells what happened.

/**
 * @typedef {[scheduled: number, started: number | null, ended: number | null, outcome: number]} Span
 * @typedef {[index: number, group: number, state: number, taskId: number, spans: Span[],
 *   hint: string, note: string, due: number | null, progress: number | null]} Entry
 * @typedef {{index: number, group: number, state: number, taskId: number, spans: Span[],
 *   hint: string, note: string, due: number | null, progress: number | null}} Row
 * @typedef {{kind: string, name: string, counts: number[]}} Group
 * @typedef {{kind: string, name: string, hint: string, due: number | null}} Waiting
 * @typedef {{epoch: number, name: string, instance_id: string, status: string, finished: boolean,
 *   generation: number, start: number, now: number, end: number | null, groups: Group[],
 *   counts: number[], waiting: Waiting[], custom_status: string, input: string, output: string,
 *   message: {kind: string, text: string, trace: string} | null}} Header
 * @typedef {{task_id: number, number: number, span: Span, worker: string, error: string,
 *   trace: string}} AttemptDetail
 * @typedef {{epoch: number, index: number, kind: string, name: string, task_id: number,
 *   target: string, version: string, input: string, output: string,
 *   attempts: AttemptDetail[]}} Detail
 * @typedef {{get(name: string): any, on(name: string, handler: () => void): void,
 *   off(name: string, handler: () => void): void, send(content: object): void}} Model
 * @typedef {{t0: number, t1: number, x0: number, x1: number, cut: boolean}} Segment
 * @typedef {{group: number, rows: Row[], listed: Row[] | null, quantiles: number[] | null}} Band
 * @typedef {{key: string, height: number, level: number, row?: Row, band?: Band, more?: Band}} Item
 */

const PAGES = 64;
const BAND_FROM = 13;
const LISTED = 200;
const IDLE_SHARE = 0.2;
const IDLE_AT_LEAST_MS = 2000;
const BREAK_PX = 46;
const ROW_PX = 26;
const BAND_PX = 58;
const STRIP_PX = 30;
const BIN_PX = 3;
/** A failure shows in its bin, however short the attempt was, without counting as work. */
const SEEN = 1e-3;
const FRAME_MS = 100;
const IDLE_FRAME_MS = 1000;
const QUEUED = 0, RUNNING = 1, WAITING = 2, COMPLETED = 3, FAILED = 4, ABANDONED = 5;
const STATES = ["queued", "running", "waiting", "completed", "failed", "abandoned"];
const OUTCOMES = ["running", "completed", "failed", "lost", "abandoned"];
const COUNT_ORDER = [COMPLETED, RUNNING, FAILED, WAITING, QUEUED, ABANDONED];
const LIST_ORDER = [5, 1, 2, 3, 0, 4];
const POINTS = new Set(["event", "send", "signal"]);
const KIND_WORDS = /** @type {Record<string, string>} */ ({
  orchestration: "sub-orchestration", call: "entity", event: "event", send: "event to", signal: "signal",
});
const STATUS_STATE = /** @type {Record<string, string>} */ ({
  Pending: "queued", Running: "running", Suspended: "waiting", Completed: "completed",
  Failed: "failed", Terminated: "abandoned", ContinuedAsNew: "running",
});
/** Icons on a 12 × 12 grid; filled, or stroked where the path is open. */
const ICONS = /** @type {Record<string, [path: string, filled: boolean]>} */ ({
  completed: ["M2.2 6.6 4.8 9.2 9.8 3.4", false],
  failed: ["M3 3 9 9M9 3 3 9", false],
  running: ["M3.4 2.2 10 6 3.4 9.8z", true],
  waiting: ["M4.2 2.8V9.2M7.8 2.8V9.2", false],
  queued: ["M6 2.4A3.6 3.6 0 1 1 5.99 2.4z", false],
  abandoned: ["M6 2.2A3.8 3.8 0 1 1 5.99 2.2zM3.4 8.6 8.6 3.4", false],
  point: ["M6 1.6 10.4 6 6 10.4 1.6 6z", true],
  open: ["M4.2 2.6 7.8 6 4.2 9.4", false],
});
const SVG = "http://www.w3.org/2000/svg";
const SECOND = 1000, MINUTE = 60_000, HOUR = 3_600_000, DAY = 86_400_000;
const STEPS_MS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500,
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 28, 91, 182, 364].map((n) => n * DAY),
];

// ---------------------------------------------------------------- words

/**
 * A duration as people say it: "850 ms", "12.3 s", "2 min 5 s".
 * @param {number} ms
 * @param {boolean} [exact] for axis labels: nothing rounded, zeros left out
 * @returns {string}
 */
export function durationWords(ms, exact = false) {
  if (exact && ms >= SECOND) return exactWords(ms);
  if (exact && ms === 0) return "0";
  if (ms < SECOND) return ms >= 1 ? `${Math.round(ms)} ms` : "< 1 ms";
  if (ms < MINUTE - 50) return `${(ms / SECOND).toFixed(1)} s`;
  /** @type {[number, string, number, string, number][]} */
  const units = [[MINUTE, "min", SECOND, "s", HOUR], [HOUR, "h", MINUTE, "min", DAY], [DAY, "d", HOUR, "h", Infinity]];
  for (const [whole, name, rest, restName, below] of units) {
    const rounded = Math.round(ms / rest) * rest;
    if (rounded < below) return `${Math.floor(rounded / whole)} ${name} ${(rounded % whole) / rest} ${restName}`;
  }
  return "";
}

/** @param {number} ms @returns {string} */
function exactWords(ms) {
  const parts = [];
  for (const [unit, name] of /** @type {[number, string][]} */ ([[DAY, "d"], [HOUR, "h"], [MINUTE, "min"]])) {
    if (ms >= unit) parts.push(`${Math.floor(ms / unit)} ${name}`);
    ms %= unit;
  }
  if (ms) parts.push(`${+(ms / SECOND).toFixed(3)} s`);
  return parts.join(" ");
}

/** @param {number} count */
const number = (count) => count.toLocaleString("en-US");

/** @param {number} at milliseconds since 1970 @returns {string} local clock time, with the date if it is not today */
function clockWords(at) {
  const when = new Date(at);
  const today = when.toDateString() === new Date().toDateString();
  const time = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return today ? time : `${when.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}

/** @param {Group} group @returns {string} */
const title = (group) => [KIND_WORDS[group.kind], group.name].filter(Boolean).join(" ");

/** @param {Waiting} waiting @param {number} now @returns {string} */
function waitingWords(waiting, now) {
  const due = waiting.due === null ? "" : ` (due in ${durationWords(Math.max(0, waiting.due - now))})`;
  switch (waiting.kind) {
    case "event": return waiting.name ? `the event "${waiting.name}"` : "an external event";
    case "lock": return `the lock of ${waiting.hint}`;
    case "timer": return (waiting.name === "start" ? "its start" : "a timer") + due;
    case "activity": return `the retry of ${waiting.name}${due}`;
    default: return [KIND_WORDS[waiting.kind], waiting.name, waiting.hint].filter(Boolean).join(" ") + due;
  }
}

// ---------------------------------------------------------------- rows

/** The row log of a model, parsed as far as it was read; later entries of a row win. */
export class RowLog {
  constructor() {
    /** @type {Row[]} */
    this.rows = [];
    this.epoch = -1;
    /** @type {string[]} */
    this.texts = [];
    /** @type {number[]} */
    this.read = [];
  }

  /**
   * Read what is new.
   * @param {Model} model
   * @param {number} epoch
   * @returns {boolean} whether anything was
   */
  absorb(model, epoch) {
    let changed = false;
    if (epoch !== this.epoch) {
      Object.assign(this, { rows: [], epoch, texts: [], read: [] });
      changed = true;
    }
    for (let n = 0; n < PAGES; n++) {
      const text = /** @type {string} */ (model.get(`page_${n}`));
      if (!text) break;
      if (text === this.texts[n]) continue;
      /** @type {Entry[]} */
      const entries = JSON.parse(text);
      for (let at = this.read[n] ?? 0; at < entries.length; at++) {
        const [index, group, state, taskId, spans, hint, note, due, progress] = entries[at];
        this.rows[index] = { index, group, state, taskId, spans, hint, note, due, progress };
      }
      this.texts[n] = text;
      this.read[n] = entries.length;
      changed = true;
    }
    return changed;
  }
}

/**
 * How long a row took, from its first start to its end, back-offs included; null before it began.
 * @param {Row} row
 * @param {number} now
 * @returns {number | null}
 */
export function durationMs(row, now) {
  const first = row.spans[0], last = row.spans[row.spans.length - 1];
  let start = first[1];
  if (start === null) {
    if (last[2] === null || row.state === ABANDONED) return null;
    start = first[0];
  }
  return Math.max(0, (row.state <= WAITING ? now : last[2] ?? now) - start);
}

/**
 * p50, p95 and maximum of the durations of finished rows.
 * @param {Row[]} rows
 * @returns {number[] | null}
 */
export function quantiles(rows) {
  const found = [];
  for (const row of rows) {
    if (row.state !== COMPLETED && row.state !== FAILED) continue;
    const taken = durationMs(row, 0);
    if (taken !== null) found.push(taken);
  }
  if (!found.length) return null;
  const sorted = Float64Array.from(found).sort(), last = sorted.length - 1;
  return [sorted[Math.round(last * 0.5)], sorted[Math.round(last * 0.95)], sorted[last]];
}

/**
 * Failed first, then what is open, then the slowest.
 * @param {Row[]} rows
 * @returns {Row[]}
 */
function listing(rows) {
  return rows
    .map((row) => ({ row, order: LIST_ORDER[row.state], taken: durationMs(row, 0) ?? 0 }))
    .sort((a, b) => a.order - b.order || b.taken - a.taken || a.row.index - b.row.index)
    .map((one) => one.row);
}

// ---------------------------------------------------------------- time

/** When anything was at work: disjoint spans, and the moment since which something still is. */
export class Busy {
  /** @param {Row[]} rows */
  constructor(rows) {
    /** @type {[number, number][]} */
    const spans = [];
    this.since = Infinity;
    for (const row of rows) {
      const waits = row.due !== null || row.state === WAITING;
      for (const [scheduled, started, ended, outcome] of row.spans) {
        if (started === null && (waits || outcome !== 0)) {
          // A timer, or a lock nobody granted yet: only its ends are events.
          spans.push([scheduled, scheduled]);
          if (ended !== null) spans.push([ended, ended]);
        } else if (ended === null) this.since = Math.min(this.since, scheduled);
        else spans.push([scheduled, ended]);
      }
    }
    spans.sort((a, b) => a[0] - b[0]);
    /** @type {[number, number][]} */
    this.spans = [];
    for (const span of spans) {
      const last = this.spans[this.spans.length - 1];
      if (last && span[0] <= last[1]) last[1] = Math.max(last[1], span[1]);
      else this.spans.push([span[0], span[1]]);
    }
  }

  /**
   * Idle spans worth cutting.
   * @param {number} end
   * @returns {[number, number][]}
   */
  gaps(end) {
    const since = Math.min(this.since, end);
    /** @type {[number, number][]} */
    const all = [];
    let at = 0;
    for (const [start, stop] of [...this.spans, /** @type {[number, number]} */ ([since, end])]) {
      if (Math.min(start, since) - at >= IDLE_AT_LEAST_MS) all.push([at, Math.min(start, since)]);
      at = Math.max(at, stop);
    }
    /** @type {Set<[number, number]>} */
    const cut = new Set();
    for (let shown = end; ;) {
      const more = all.filter((gap) => !cut.has(gap) && gap[1] - gap[0] > IDLE_SHARE * shown);
      const rest = shown - more.reduce((sum, [t0, t1]) => sum + t1 - t0, 0);
      if (!more.length || rest < 1) return all.filter((gap) => cut.has(gap));
      for (const gap of more) cut.add(gap);
      shown = rest;
    }
  }
}

/** Maps milliseconds from the start to pixels, with long idle spans cut short. */
export class TimeScale {
  /**
   * @param {[number, number][]} cuts
   * @param {number} end
   * @param {number} width
   */
  constructor(cuts, end, width) {
    this.end = Math.max(end, 1);
    this.width = width;
    /** @type {Segment[]} */
    this.segments = [];
    const breakPx = cuts.length ? Math.min(BREAK_PX, (width * 0.6) / cuts.length) : 0;
    const shown = this.end - cuts.reduce((sum, [t0, t1]) => sum + t1 - t0, 0);
    const perMs = (width - breakPx * cuts.length) / shown;
    let at = 0, x = 0;
    for (const [t0, t1] of [...cuts, [this.end, this.end]]) {
      if (t0 > at) this.segments.push({ t0: at, t1: t0, x0: x, x1: (x += (t0 - at) * perMs), cut: false });
      if (t1 > t0) this.segments.push({ t0, t1, x0: x, x1: (x += breakPx), cut: true });
      at = t1;
    }
  }

  /** @param {number} at @returns {number} */
  x(at) {
    for (const { t0, t1, x0, x1 } of this.segments) {
      if (at <= t1) return x0 + (Math.max(0, at - t0) / (t1 - t0)) * (x1 - x0);
    }
    return this.width;
  }

  /** @param {number} x @returns {number} the time at a place */
  at(x) {
    for (const { t0, t1, x0, x1 } of this.segments) {
      if (x <= x1) return t0 + (Math.max(0, x - x0) / (x1 - x0)) * (t1 - t0);
    }
    return this.end;
  }

  /** @param {number} everyPx @returns {{x: number, label: string}[]} */
  ticks(everyPx) {
    const drawn = this.segments.filter((segment) => !segment.cut);
    const visible = drawn.reduce((sum, { t0, t1 }) => sum + t1 - t0, 0);
    const count = Math.max(1, this.width / everyPx);
    const step = STEPS_MS.find((one) => one * count >= visible) ?? STEPS_MS[STEPS_MS.length - 1];
    const breaks = this.segments.filter((segment) => segment.cut).map(({ x0, x1 }) => (x0 + x1) / 2);
    /** @type {{x: number, label: string}[]} */
    const found = [];
    for (const { t0, t1 } of drawn) {
      for (let at = Math.ceil(t0 / step) * step; at <= t1; at += step) {
        const x = this.x(at), last = found[found.length - 1];
        if (last && x - last.x < everyPx * 0.6) continue;
        if (breaks.some((middle) => Math.abs(middle - x) < BREAK_PX)) continue;
        found.push({ x, label: durationWords(at, true) });
      }
    }
    return found;
  }
}

/**
 * How many rows were at work in each bin, by outcome; each failure shows where it happened.
 * @param {Row[]} rows
 * @param {TimeScale} scale
 * @param {number} bins
 * @param {number} now
 * @returns {{completed: Float64Array, failed: Float64Array, running: Float64Array, top: number}}
 */
export function density(rows, scale, bins, now) {
  const layers = [0, 1, 2].map(() => new Float64Array(bins + 1));
  const failures = new Uint8Array(bins);
  const perBin = bins / scale.width;
  for (const row of rows) {
    for (const [scheduled, started, ended, outcome] of row.spans) {
      if (started === null && ended === null) continue;
      const x0 = scale.x(started ?? scheduled) * perBin;
      const x1 = Math.max(x0, scale.x(ended ?? now) * perBin);
      const layer = layers[outcome === 1 ? 0 : outcome === 2 || outcome === 3 ? 1 : 2];
      spread(layer, x0, 1);
      spread(layer, x1, -1);
      if (outcome === 2 || outcome === 3) failures[Math.min(Math.floor(x1), bins - 1)] = 1;
    }
  }
  let top = 0;
  for (const layer of layers) for (let n = 1; n <= bins; n++) layer[n] += layer[n - 1];
  const [completed, failed, running] = layers;
  for (let n = 0; n < bins; n++) {
    failed[n] = Math.max(failed[n], failures[n] * SEEN);
    top = Math.max(top, completed[n] + failed[n] + running[n]);
  }
  return { completed, failed, running, top };
}

/**
 * Add the edge of an interval to a difference array whose running sum is the share covered.
 * @param {Float64Array} layer
 * @param {number} x
 * @param {number} sign
 */
function spread(layer, x, sign) {
  const index = Math.min(Math.floor(x), layer.length - 2), covered = sign * (index + 1 - x);
  layer[index] += covered;
  layer[index + 1] += sign - covered;
}

// ---------------------------------------------------------------- DOM helpers

/**
 * @param {string} tag
 * @param {string} [name] class
 * @param {Element | null} [parent]
 * @param {string} [text]
 * @returns {HTMLElement}
 */
function make(tag, name = "", parent = null, text = "") {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

/** @param {string} state @param {Element} parent @returns {SVGElement} */
function icon(state, parent) {
  const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  parent.append(svg);
  setIcon(svg, state);
  return svg;
}

/** @param {SVGElement} svg @param {string} state */
function setIcon(svg, state) {
  if (svg.dataset.state === state) return;
  svg.dataset.state = state;
  const [path, filled] = ICONS[state];
  svg.setAttribute("class", `ipd-icon ipd-${state}${filled ? " ipd-filled" : ""}`);
  svg.firstElementChild?.setAttribute("d", path);
}

/** Write text only where it changed. @param {Element} node @param {string} text */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {HTMLElement} node @param {number} left @param {number} width */
function place(node, left, width) {
  const l = `${left.toFixed(1)}px`, w = `${width.toFixed(1)}px`;
  if (node.style.left !== l) node.style.left = l;
  if (node.style.width !== w) node.style.width = w;
}

/** JSON as people read it, where it is whole. @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// ---------------------------------------------------------------- the view

/** One mounted view of a timeline. */
class TimelineView {
  /** @param {Model} model @param {HTMLElement} host */
  constructor(model, host) {
    this.model = model;
    this.log = new RowLog();
    /** Milliseconds to add to the browser's clock to get the host's. */
    this.skew = 0;
    this.measured = false;
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
    this.frame = 0;
    this.timer = 0;
    this.visible = true;
    this.stale = true;
    this.relist = true;
    this.scale = new TimeScale([], 1, 1);
    this.detailShown = "";
    /** Several views of one run may be on a page; their rows need ids of their own. */
    this.id = `ipd${Math.random().toString(36).slice(2)}`;

    this.root = make("div", "ipd-timeline", host);
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
    this.listen();
    this.draw();
  }

  listen() {
    this.onHeader = () => {
      this.measureClock();
      this.stale = true;
      this.queue();
    };
    this.onDetail = () => this.queue();
    this.model.on("change:header", this.onHeader);
    this.model.on("change:detail", this.onDetail);
    this.resize = new ResizeObserver(() => this.queue());
    this.resize.observe(this.root);
    this.sight = new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting;
      if (this.visible) this.queue();
    });
    this.sight.observe(this.root);
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

  destroy() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.resize?.disconnect();
    this.sight?.disconnect();
    if (this.onHeader) this.model.off("change:header", this.onHeader);
    if (this.onDetail) this.model.off("change:detail", this.onDetail);
    this.root.remove();
  }

  /** @returns {Header | null} */
  get header() {
    const header = this.model.get("header");
    return header && "epoch" in header ? header : null;
  }

  /** A header that just arrived tells the host's time; the least delayed one tells it best. */
  measureClock() {
    const header = this.header;
    if (!header) return;
    const skew = header.start + header.now - Date.now();
    this.skew = this.measured ? Math.max(this.skew, skew) : skew;
    this.measured = true;
  }

  /** @param {Header} header @returns {number} milliseconds since the start */
  now(header) {
    return header.end ?? Math.max(header.now, Date.now() + this.skew - header.start);
  }

  queue() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const header = this.header;
    const width = this.root.clientWidth;
    if (!header || !width) return;
    const begun = performance.now();
    if (this.stale) this.read(header);
    if (this.relist) this.list();
    const now = this.now(header);
    this.head.draw(header, now);
    this.layOut(width, now);
    this.drawRows(header, now);
    this.drawDetail(header, now);
    this.root.dataset.drawMs = (performance.now() - begun).toFixed(2);
    clearTimeout(this.timer);
    if (!header.finished && this.visible) {
      const works = header.counts[QUEUED] + header.counts[RUNNING] > 0;
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.timer = window.setTimeout(() => this.queue(), works && !calm ? FRAME_MS : IDLE_FRAME_MS);
    }
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

/**
 * Make a node have `count` children and let `write` bring each up to date.
 * @param {Element} parent
 * @param {number} count
 * @param {string} name
 * @param {(node: HTMLElement, n: number) => void} write
 */
function syncChildren(parent, count, name, write) {
  while (parent.childElementCount > count) parent.lastElementChild?.remove();
  while (parent.childElementCount < count) make("div", name, parent);
  for (let n = 0; n < count; n++) {
    const node = /** @type {HTMLElement} */ (parent.children[n]);
    if (name && node.className !== name) node.className = name;
    write(node, n);
  }
}

// ---------------------------------------------------------------- parts

/** What stands above the rows. */
class Head {
  /** @param {HTMLElement} root @param {() => boolean} toggleCompleted */
  constructor(root, toggleCompleted) {
    const head = make("div", "ipd-head", root);
    this.name = make("span", "ipd-name", head);
    this.chip = make("span", "ipd-chip", head);
    this.chipIcon = icon("queued", this.chip);
    this.status = make("span", "", this.chip);
    this.elapsed = make("span", "ipd-elapsed", head);
    this.instance = make("span", "ipd-id", head);
    this.progress = make("div", "ipd-progress", root);
    this.progress.setAttribute("role", "progressbar");
    this.sub = make("div", "ipd-sub", root);
    this.counts = make("span", "ipd-counts", this.sub);
    this.toggle = make("button", "ipd-button", this.sub, "Hide completed");
    this.toggle.setAttribute("type", "button");
    this.toggle.setAttribute("aria-pressed", "false");
    this.toggle.addEventListener("click", () => {
      this.toggle.setAttribute("aria-pressed", String(toggleCompleted()));
    });
    this.message = make("div", "ipd-message", root);
    this.message.setAttribute("role", "status");
    this.shown = "";
  }

  /** @param {Header} header @param {number} now */
  draw(header, now) {
    const state = STATUS_STATE[header.status] ?? "queued";
    setText(this.name, header.name);
    this.chip.className = `ipd-chip ipd-${state}`;
    setIcon(this.chipIcon, state);
    setText(this.status, header.status);
    setText(this.elapsed, durationWords(Math.max(0, now)));
    setText(this.instance, header.instance_id);
    this.instance.title = `Instance ${header.instance_id}, started ${clockWords(header.start)}`;
    const total = header.counts.reduce((sum, count) => sum + count, 0);
    this.drawProgress(header, total);
    this.sub.hidden = !total && !header.generation;
    this.toggle.hidden = header.counts[COMPLETED] < 4 || header.counts[COMPLETED] === total;
    this.drawCounts(header);
    this.drawMessage(header, now);
  }

  /** @param {Header} header @param {number} total */
  drawProgress(header, total) {
    const done = header.counts[COMPLETED], order = [COMPLETED, FAILED, ABANDONED, RUNNING];
    this.progress.hidden = !total;
    this.progress.setAttribute("aria-valuemax", `${total}`);
    this.progress.setAttribute("aria-valuenow", `${done}`);
    this.progress.setAttribute("aria-label", `${done} of ${total} completed`);
    syncChildren(this.progress, order.length, "", (node, n) => {
      node.className = `ipd-${STATES[order[n]]}`;
      node.style.width = `${(header.counts[order[n]] / Math.max(1, total)) * 100}%`;
    });
  }

  /** @param {Header} header */
  drawCounts(header) {
    const shown = COUNT_ORDER.filter((state) => header.counts[state]);
    const key = JSON.stringify([header.counts, header.generation]);
    if (this.counts.dataset.key === key) return;
    this.counts.dataset.key = key;
    this.counts.replaceChildren();
    for (const state of shown) {
      const one = make("span", "ipd-count", this.counts);
      icon(STATES[state], one);
      make("b", "", one, number(header.counts[state]));
      make("span", "ipd-dim", one, STATES[state]);
    }
    if (header.generation) make("span", "ipd-dim", this.counts, `generation ${number(header.generation + 1)}`);
  }

  /** @param {Header} header @param {number} now */
  drawMessage(header, now) {
    /** @type {[string, string][]} */
    const lines = [];
    if (header.message) lines.push([header.message.kind === "failed" ? "Failed" : "Suspended", header.message.text]);
    const waits = header.waiting.map((one) => waitingWords(one, now)).join(" and ");
    if (waits) lines.push(["Waits for", waits]);
    if (header.custom_status) lines.push(["Status", header.custom_status]);
    if (header.output) lines.push(["Output", header.output]);
    const key = JSON.stringify([lines, header.message]);
    if (key === this.shown) return;
    this.shown = key;
    this.message.hidden = !lines.length;
    this.message.replaceChildren();
    for (const [what, text] of lines) {
      const line = make("div", `ipd-line-${what.toLowerCase().replace(" ", "-")}`, this.message);
      make("span", "ipd-what", line, what);
      make("span", "ipd-words", line, text);
    }
    if (header.message?.trace) this.message.append(traceback(header.message.trace));
  }
}

/** @param {string} text @returns {HTMLElement} */
function traceback(text) {
  const details = make("details", "ipd-trace");
  make("summary", "", details, "Traceback");
  make("pre", "", details, text);
  return details;
}

/** A row: icon, name and hint; its spans; how long it took. */
class RowNode {
  constructor() {
    this.element = make("div", "ipd-row");
    const label = make("div", "ipd-label", this.element);
    this.icon = icon("queued", label);
    this.name = make("span", "ipd-op", label);
    this.hint = make("span", "ipd-hint", label);
    this.plot = make("div", "ipd-plot", this.element);
    this.bars = make("div", "ipd-bars", this.plot);
    this.note = make("span", "ipd-note", this.plot);
    this.time = make("div", "ipd-time", this.element);
  }

  /** @param {Item} item @param {Header} header @param {TimeScale} scale @param {number} now */
  draw(item, header, scale, now) {
    const row = /** @type {Row} */ (item.row), group = header.groups[row.group];
    const point = POINTS.has(group.kind);
    setIcon(this.icon, point ? "point" : STATES[row.state]);
    setText(this.name, title(group));
    setText(this.hint, row.hint);
    const bars = point ? [] : rowBars(row, scale, now);
    if (point) bars.push({ name: "ipd-point", x0: scale.x(row.spans[0][0]), x1: 0, share: null });
    syncChildren(this.bars, bars.length, "", (node, n) => {
      const { name, x0, x1, share } = bars[n];
      if (node.className !== name) node.className = name;
      place(node, x0, Math.max(name.startsWith("ipd-bar") ? 3 : 0, x1 - x0));
      const done = share === null ? "" : `${(share * 100).toFixed(1)}%`;
      if ((node.dataset.share ?? "") !== done) {
        node.dataset.share = done;
        node.style.setProperty("--ipd-share", done || "0%");
      }
    });
    const taken = point ? null : durationMs(row, now);
    setText(this.time, taken === null ? "" : durationWords(taken));
    this.drawNote(row, scale, now);
    const what = point ? "" : `, ${STATES[row.state]}${taken === null ? "" : `, ${durationWords(taken)}`}`;
    this.element.setAttribute("aria-label", `${title(group)} ${row.hint}${what}`);
  }

  /** The failure in words, beside the bar where there is room. @param {Row} row @param {TimeScale} scale @param {number} now */
  drawNote(row, scale, now) {
    const shown = row.note && (row.state === FAILED || row.state === WAITING || row.state === RUNNING);
    const last = row.spans[row.spans.length - 1];
    const end = scale.x(row.state <= WAITING ? now : last[2] ?? now) + 8;
    const start = scale.x(row.spans[0][0]) - 8;
    const after = scale.width - end >= 110;
    this.note.hidden = !shown || (!after && start < 110);
    if (this.note.hidden) return;
    setText(this.note, row.note);
    this.note.classList.toggle("ipd-failed-text", row.state === FAILED);
    this.note.classList.toggle("ipd-before", !after);
    place(this.note, after ? end : 0, after ? scale.width - end : start);
  }
}

/**
 * The bars of a row: queued, run, and the gaps between attempts.
 * @param {Row} row
 * @param {TimeScale} scale
 * @param {number} now
 * @returns {{name: string, x0: number, x1: number, share: number | null}[]}
 */
export function rowBars(row, scale, now) {
  /** @type {{name: string, x0: number, x1: number, share: number | null}[]} */
  const bars = [];
  /** @param {string} name @param {number} from @param {number} to @param {number | null} [share] */
  const add = (name, from, to, share = null) => bars.push({ name, x0: scale.x(from), x1: scale.x(to), share });
  row.spans.forEach(([scheduled, started, ended, outcome], n) => {
    const end = ended ?? now, before = row.spans[n - 1]?.[2];
    if (before !== null && before !== undefined) add("ipd-gap", before, scheduled);
    if (started === null && (row.state === WAITING || row.due !== null || outcome !== 0)) {
      add(`ipd-gap ipd-${outcome ? OUTCOMES[outcome] : "waiting"}`, scheduled, end);
      return;
    }
    const from = started ?? end;
    if (started === null || scale.x(from) - scale.x(scheduled) >= 1) add("ipd-bar ipd-queued", scheduled, from);
    if (started !== null) {
      const share = outcome === 0 && n === row.spans.length - 1 ? row.progress : null;
      add(`ipd-bar ipd-${OUTCOMES[outcome]}${share === null ? "" : " ipd-share"}`, started, end, share);
    }
    if (row.spans.length > 1) add("ipd-notch", scheduled, scheduled);
  });
  const last = row.spans[row.spans.length - 1];
  if (row.due !== null && last[2] !== null) add("ipd-gap", last[2], now);
  return bars;
}

/** A band: siblings as counts and a density strip. */
class BandNode {
  constructor() {
    this.element = make("div", "ipd-row ipd-band");
    const label = make("div", "ipd-label", this.element);
    const line = make("div", "ipd-line1", label);
    this.chevron = icon("open", line);
    this.name = make("span", "ipd-op", line);
    this.size = make("span", "ipd-hint", line);
    this.counts = make("div", "ipd-bandcounts", label);
    this.plot = make("div", "ipd-plot", this.element);
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("class", "ipd-strip");
    this.plot.append(this.svg);
    this.paths = ["completed", "running", "failed"].map((state) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", `ipd-${state}`);
      this.svg.append(path);
      return path;
    });
    this.stats = make("div", "ipd-stats", this.plot);
    this.peak = make("div", "ipd-time", this.element);
  }

  /**
   * @param {Item} item @param {Header} header @param {TimeScale} scale @param {number} now
   * @param {Set<number>} expanded
   */
  draw(item, header, scale, now, expanded) {
    const band = /** @type {Band} */ (item.band), group = header.groups[band.group];
    const open = expanded.has(band.group);
    this.element.classList.toggle("ipd-open", open);
    this.element.setAttribute("aria-expanded", String(open));
    setText(this.name, title(group));
    setText(this.size, number(band.rows.length));
    const key = JSON.stringify(group.counts);
    if (this.counts.dataset.key !== key) {
      this.counts.dataset.key = key;
      this.counts.replaceChildren();
      for (const state of COUNT_ORDER.filter((one) => group.counts[one])) {
        const one = make("span", `ipd-count ipd-${STATES[state]}`, this.counts);
        one.title = STATES[state];
        icon(STATES[state], one);
        make("span", "", one, number(group.counts[state]));
      }
    }
    this.drawStrip(band, scale, now);
    const words = band.quantiles?.map((ms) => durationWords(ms));
    setText(this.stats, words ? `p50 ${words[0]}  ·  p95 ${words[1]}  ·  max ${words[2]}` : "");
    const parts = COUNT_ORDER.filter((one) => group.counts[one]).map((one) => `${group.counts[one]} ${STATES[one]}`);
    this.element.setAttribute("aria-label", `${band.rows.length} ${title(group)}: ${parts.join(", ")}`);
  }

  /** @param {Band} band @param {TimeScale} scale @param {number} now */
  drawStrip(band, scale, now) {
    const bins = Math.max(1, Math.floor(scale.width / BIN_PX));
    const { completed, failed, running, top } = density(band.rows, scale, bins, now);
    this.svg.setAttribute("width", `${scale.width}`);
    this.svg.setAttribute("height", `${STRIP_PX}`);
    const step = scale.width / bins, unit = top ? (STRIP_PX - 2) / top : 0;
    const paths = ["", "", ""];
    for (let n = 0; n < bins; n++) {
      let y = STRIP_PX;
      // Failures stand at the bottom, where they show however many succeed.
      [failed, completed, running].forEach((layer, which) => {
        if (layer[n] <= 1e-6) return;
        const high = Math.max(layer[n] * unit, which === 0 ? 3 : 1);
        paths[[2, 0, 1][which]] += `M${(n * step).toFixed(1)} ${y.toFixed(1)}v${(-high).toFixed(1)}h${(step + 0.05).toFixed(2)}v${high.toFixed(1)}z`;
        y -= high;
      });
    }
    this.paths.forEach((path, n) => path.setAttribute("d", paths[n]));
    setText(this.peak, top >= 1 ? `peak ${number(Math.round(top))}` : "");
  }
}

/** "Show all n" at the end of an open band. */
class MoreNode {
  constructor() {
    this.element = make("div", "ipd-row ipd-more");
    this.label = make("span", "", this.element);
  }

  /** @param {Item} item */
  draw(item) {
    setText(this.label, `Show all ${number(/** @type {Band} */ (item.more).listed?.length ?? 0)}`);
  }
}

// ---------------------------------------------------------------- tooltip and detail

/** @param {Row} row @param {Header} header @param {number} now @returns {string[]} */
function rowTip(row, header, now) {
  const group = header.groups[row.group], point = POINTS.has(group.kind);
  const lines = [`${title(group)} ${row.hint}`.trim()];
  if (point) return [...lines, clockWords(header.start + row.spans[0][0])];
  const taken = durationMs(row, now), tries = row.spans.length;
  lines.push([STATES[row.state], taken === null ? "" : durationWords(taken), tries > 1 ? `${tries} attempts` : ""].filter(Boolean).join(" · "));
  if (row.due !== null) lines.push(`due ${clockWords(header.start + row.due)}`);
  if (row.note) lines.push(row.note);
  return lines;
}

/** @param {Band} band @param {Header} header @returns {string[]} */
function bandTip(band, header) {
  const group = header.groups[band.group];
  return [`${number(band.rows.length)} × ${title(group)}`,
    COUNT_ORDER.filter((one) => group.counts[one]).map((one) => `${number(group.counts[one])} ${STATES[one]}`).join(" · ")];
}

/**
 * @param {Row} row @param {Detail | null} detail @param {Header} header @param {number} now
 * @param {() => void} close
 * @returns {HTMLElement[]}
 */
function detailNodes(row, detail, header, now, close) {
  const group = header.groups[row.group], point = POINTS.has(group.kind);
  const head = make("div", "ipd-detail-head");
  icon(point ? "point" : STATES[row.state], head);
  make("span", "ipd-op", head, title(group));
  make("span", "ipd-hint", head, row.hint);
  const button = make("button", "ipd-button", head, "Close");
  button.setAttribute("type", "button");
  button.addEventListener("click", close);
  const list = make("dl", "");
  /** @param {string} what @param {string} value */
  const add = (what, value) => {
    if (!value) return;
    make("dt", "", list, what);
    make("dd", "", list, value);
  };
  const [scheduled, started] = row.spans[0], taken = durationMs(row, now);
  const waits = group.kind === "timer" || group.kind === "lock";
  if (!point) add("State", STATES[row.state] + (taken === null ? "" : `, ${durationWords(taken)}`));
  add("Task", row.taskId ? `${row.taskId}` : "");
  add(point ? "At" : "Scheduled", clockWords(header.start + scheduled));
  if (!point && !waits && row.state !== ABANDONED) add("Queued for", started === scheduled ? "" : durationWords((started ?? now) - scheduled));
  add("Due", row.due === null ? "" : clockWords(header.start + row.due));
  add("Target", detail?.target ?? "");
  add("Version", detail?.version.slice(0, 12) ?? "");
  const only = detail?.attempts.length === 1 ? detail.attempts[0] : null;
  add("Worker", only?.worker ?? "");
  const nodes = [head, list];
  if (!detail) nodes.push(make("div", "ipd-dim", null, "Asking the kernel for more …"));
  else {
    if (!only) nodes.push(attemptTable(detail, header, now));
    for (const [what, text] of [["Input", detail.input], ["Output", detail.output]]) {
      if (!text) continue;
      const block = make("div", "ipd-value");
      make("div", "ipd-what", block, what);
      make("pre", "", block, pretty(text));
      nodes.push(block);
    }
    for (const attempt of detail.attempts) {
      if (!attempt.error) continue;
      const block = make("details", "ipd-value ipd-error");
      block.toggleAttribute("open", attempt === detail.attempts[detail.attempts.length - 1]);
      make("summary", "", block, `${only ? "Failure" : `Attempt ${attempt.number}`}: ${attempt.error}`);
      make("pre", "", block, attempt.trace || attempt.error);
      nodes.push(block);
    }
  }
  return nodes;
}

/** @param {Detail} detail @param {Header} header @param {number} now @returns {HTMLElement} */
function attemptTable(detail, header, now) {
  const table = make("table", "ipd-attempts");
  const head = make("tr", "", make("thead", "", table));
  for (const what of ["Attempt", "Task", "Outcome", "Started", "Ran for", "Worker"]) make("th", "", head, what);
  const body = make("tbody", "", table);
  for (const { number: n, task_id: taskId, span: [, started, ended, outcome], worker } of detail.attempts) {
    const row = make("tr", "", body);
    const ran = started === null ? "" : durationWords((ended ?? now) - started);
    const state = outcome === 0 && started === null ? "queued" : OUTCOMES[outcome];
    const cells = [`${n}`, `${taskId}`, state, started === null ? "" : clockWords(header.start + started), ran, worker];
    for (const cell of cells) make("td", "", row, cell);
  }
  return table;
}

/** @param {{model: Model, el: HTMLElement}} context @returns {() => void} */
function render({ model, el }) {
  const view = new TimelineView(model, el);
  return () => view.destroy();
}

export default { render };
