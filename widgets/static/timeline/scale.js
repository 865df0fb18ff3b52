// @ts-check
// The axis: time to pixels with idle spans cut, ticks, and how dense a band is over time.

import { WAITING } from "../shared/states.js";
import { DAY, HOUR, MINUTE, SECOND, durationWords } from "../shared/words.js";

/** @import { Row, Segment } from "./types.js" */

const IDLE_SHARE = 0.2;
const IDLE_AT_LEAST_MS = 2000;
const BREAK_PX = 46;
/** A failure shows in its bin, however short the attempt was, without counting as work. */
const SEEN = 1e-3;
const STEPS_MS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500,
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 28, 91, 182, 364].map((n) => n * DAY),
];

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
   * @param {number} [start]
   */
  constructor(cuts, end, width, start = 0) {
    this.start = start;
    this.end = Math.max(end, start + 1);
    this.width = width;
    /** @type {Segment[]} */
    this.segments = [];
    cuts = cuts
      .map(([t0, t1]) => /** @type {[number, number]} */ ([Math.max(t0, start), Math.min(t1, this.end)]))
      .filter(([t0, t1]) => t1 > t0 && t1 - t0 < this.end - start);
    const breakPx = cuts.length ? Math.min(BREAK_PX, (width * 0.6) / cuts.length) : 0;
    const shown = Math.max(1, this.end - start - cuts.reduce((sum, [t0, t1]) => sum + t1 - t0, 0));
    const perMs = (width - breakPx * cuts.length) / shown;
    let at = start, x = 0;
    for (const [t0, t1] of [...cuts, [this.end, this.end]]) {
      if (t0 > at) this.segments.push({ t0: at, t1: t0, x0: x, x1: (x += (t0 - at) * perMs), cut: false });
      if (t1 > t0) this.segments.push({ t0, t1, x0: x, x1: (x += breakPx), cut: true });
      at = t1;
    }
  }

  /** @param {number} at @returns {number} the place of a time; what lies outside lies on the edge */
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
      if (scheduled > scale.end || (ended !== null && ended < scale.start)) continue;
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
