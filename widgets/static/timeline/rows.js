// @ts-check
// The rows of a timeline: read from the kernel's log, measured, put in order.

import { ABANDONED, COMPLETED, FAILED, WAITING } from "../shared/states.js";

/** @import { Model } from "../shared/model.js" */
/** @import { Entry, Row } from "./types.js" */

const PAGES = 64;
const LIST_ORDER = [5, 1, 2, 3, 0, 4];

/** @param {Entry} entry a row as the kernel sends it @returns {Row} */
export function readRow(entry) {
  const [index, group, state, taskId, spans, hint, note, due, progress, target, source] = entry;
  return { index, group, state, taskId, spans, hint, note, due, progress, target, source };
}

/** The row log of a model, parsed as far as it was read; later entries of a row win. */
export class RowLog {
  constructor() {
    /** @type {Row[]} the rows of the main history */
    this.rows = [];
    /** @type {Map<number, Row[]>} all rows by the slot of their source */
    this.sources = new Map([[0, this.rows]]);
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
      this.sources = new Map([[0, this.rows]]);
      changed = true;
    }
    for (let n = 0; n < PAGES; n++) {
      const text = /** @type {string} */ (model.get(`page_${n}`));
      if (!text) break;
      if (text === this.texts[n]) continue;
      /** @type {Entry[]} */
      const entries = JSON.parse(text);
      for (let at = this.read[n] ?? 0; at < entries.length; at++) {
        const row = readRow(entries[at]);
        let rows = this.sources.get(row.source);
        if (!rows) this.sources.set(row.source, rows = []);
        rows[row.index] = row;
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
export function listing(rows) {
  return rows
    .map((row) => ({ row, order: LIST_ORDER[row.state], taken: durationMs(row, 0) ?? 0 }))
    .sort((a, b) => a.order - b.order || b.taken - a.taken || a.row.index - b.row.index)
    .map((one) => one.row);
}
