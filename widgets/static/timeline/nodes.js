// @ts-check
// What is drawn on a line of the timeline: a row, a band, "show all".

import { SVG, icon, make, place, setIcon, setText, syncChildren } from "../shared/dom.js";
import { COUNT_ORDER, FAILED, OUTCOMES, RUNNING, STATES, WAITING } from "../shared/states.js";
import { durationWords, number } from "../shared/words.js";
import { durationMs } from "./rows.js";
import { TimeScale, density } from "./scale.js";
import { LOST, POINTS, title } from "./words.js";

/** @import { Awaited, Band, Item, Row } from "./types.js" */

const STRIP_PX = 30;
const BIN_PX = 3;
/** How far words keep from the edge of the plot. */
const EDGE_PX = 5;

/** What tells a child from its siblings comes first, and is not the parent's id. @param {string} hint @param {string} parent @param {string} kind */
function childHint(hint, parent, kind) {
  const own = hint.startsWith(`${parent}:`) ? `…${hint.slice(parent.length)}` : hint;
  return [own, kind].filter(Boolean).join(" · ");
}

/** A row: icon, name and hint; its spans; how long it took. */
export class RowNode {
  constructor() {
    this.element = make("div", "ipd-row");
    const label = make("div", "ipd-label", this.element);
    this.chevron = icon("open", label);
    this.icon = icon("queued", label);
    this.name = make("span", "ipd-op", label);
    this.hint = make("span", "ipd-hint", label);
    this.plot = make("div", "ipd-plot", this.element);
    this.bars = make("div", "ipd-bars", this.plot);
    this.note = make("span", "ipd-note", this.plot);
    this.time = make("div", "ipd-time", this.element);
  }

  /** @param {Item} item @param {TimeScale} scale @param {number} now */
  draw(item, scale, now) {
    const row = /** @type {Row} */ (item.row), group = item.header.groups[row.group];
    this.chevron.classList.toggle("ipd-none", !row.target);
    if (row.target) this.element.setAttribute("aria-expanded", String(item.open ?? false));
    else this.element.removeAttribute("aria-expanded");
    this.element.classList.toggle("ipd-open", item.open ?? false);
    const point = POINTS.has(group.kind);
    setIcon(this.icon, point ? "point" : STATES[row.state]);
    // What tells siblings apart stands before what they have in common.
    const isChild = group.kind === "orchestration";
    setText(this.name, isChild ? group.name : title(group));
    const hint = isChild ? childHint(row.hint, item.header.instance_id, title({ ...group, name: "" })) : row.hint;
    const isOutrun = row.note === LOST;
    this.element.classList.toggle("ipd-outrun", isOutrun);
    // Beside a bar that reaches to the present there is no room for words.
    setText(this.hint, isOutrun ? [LOST, hint].filter(Boolean).join(" · ") : hint);
    const bars = point ? [] : rowBars(row, scale, now);
    const at = row.spans[0][0];
    if (point && at >= scale.start && at <= scale.end) bars.push({ name: "ipd-point", x0: scale.x(at), x1: 0, share: null });
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
    const what = point ? "" : `, ${STATES[row.state]}${taken === null ? "" : `, ${durationWords(taken)}`}${isOutrun ? `, ${LOST}` : ""}`;
    this.element.setAttribute("aria-label", `${title(group)} ${row.hint}${what}`);
  }

  /** The failure in words, beside the bar where there is room. @param {Row} row @param {TimeScale} scale @param {number} now */
  drawNote(row, scale, now) {
    const last = row.spans[row.spans.length - 1], over = row.state <= WAITING ? now : last[2] ?? now;
    const outside = over < scale.start ? "‹ earlier" : row.spans[0][0] > scale.end ? "later ›" : "";
    if (outside) {
      this.note.hidden = false;
      setText(this.note, outside);
      this.note.classList.remove("ipd-failed-text");
      return lay(this.note, outside.startsWith("later") ? null : EDGE_PX, scale.width - EDGE_PX, scale);
    }
    const shown = row.note && row.note !== LOST && (row.state === FAILED || row.state === WAITING || row.state === RUNNING);
    const end = scale.x(over) + 8;
    // It may stand over the time in which the row was queued, but not over its work.
    const start = scale.x(row.spans.length === 1 ? last[1] ?? last[0] : row.spans[0][0]) - 8;
    const after = scale.width - end >= 110;
    this.note.hidden = !shown || (!after && start < 110);
    if (this.note.hidden) return;
    setText(this.note, row.note);
    this.note.classList.toggle("ipd-failed-text", row.state === FAILED);
    lay(this.note, after ? end : null, after ? scale.width - end : start, scale);
  }
}

/**
 * Lay a note beside a bar.
 * @param {HTMLElement} note
 * @param {number | null} left where it begins; null to have it end where its room does
 * @param {number} room how much there is for it
 * @param {TimeScale} scale
 */
function lay(note, left, room, scale) {
  note.classList.toggle("ipd-before", left === null);
  note.style.left = left === null ? "auto" : `${left.toFixed(1)}px`;
  note.style.right = left === null ? `${(scale.width - room).toFixed(1)}px` : "auto";
  note.style.maxWidth = `${room.toFixed(1)}px`;
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
  const add = (name, from, to, share = null) => {
    if (to < scale.start || from > scale.end) return;
    bars.push({ name, x0: scale.x(from), x1: scale.x(to), share });
  };
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
export class BandNode {
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

  /** @param {Item} item @param {TimeScale} scale @param {number} now */
  draw(item, scale, now) {
    const band = /** @type {Band} */ (item.band), { group } = band, open = item.open ?? false;
    this.element.classList.toggle("ipd-open", open);
    this.element.setAttribute("aria-expanded", String(open));
    setText(this.name, title(group));
    const found = band.listed?.length ?? band.rows.length;
    const some = found < band.rows.length ? `${number(found)} of ${number(band.rows.length)}` : number(band.rows.length);
    setText(this.size, some);
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

/** An external event that the code waits for. */
export class WaitNode {
  constructor() {
    this.element = make("div", "ipd-row ipd-wait");
    const label = make("div", "ipd-label", this.element);
    icon("open", label).classList.add("ipd-none");
    icon("waiting", label);
    this.name = make("span", "ipd-op", label);
    this.hint = make("span", "ipd-hint", label);
    this.plot = make("div", "ipd-plot", this.element);
    this.bar = make("div", "ipd-gap ipd-waiting", this.plot);
    this.note = make("span", "ipd-note", this.plot, "waits for the event to be raised");
    this.time = make("div", "ipd-time", this.element);
  }

  /** @param {Item} item @param {TimeScale} scale @param {number} now */
  draw(item, scale, now) {
    const { name, since } = /** @type {Awaited} */ (item.wait);
    setText(this.name, "event");
    setText(this.hint, `"${name}"`);
    const x0 = scale.x(since), x1 = scale.x(now);
    place(this.bar, x0, x1 - x0);
    const room = x0 >= 190;
    this.note.hidden = !room;
    if (room) lay(this.note, null, x0 - 8, scale);
    setText(this.time, durationWords(Math.max(0, now - since)));
    this.element.setAttribute("aria-label", `waits for the event ${name}`);
  }
}

/** A line of words where rows are to come. */
export class WordsNode {
  constructor() {
    this.element = make("div", "ipd-row ipd-dim ipd-still");
    const label = make("div", "ipd-label", this.element);
    icon("open", label).classList.add("ipd-none");
    this.words = make("span", "", label);
  }

  /** @param {Item} item */
  draw(item) {
    setText(this.words, item.loading ?? "");
  }
}

/** "Show all n" at the end of an open band. */
export class MoreNode {
  constructor() {
    this.element = make("div", "ipd-row ipd-more");
    this.label = make("span", "", this.element);
  }

  /** @param {Item} item */
  draw(item) {
    setText(this.label, `Show all ${number(/** @type {Band} */ (item.more).listed?.length ?? 0)}`);
  }
}
