// @ts-check
// Decides what is listed, top to bottom: what is open first, then by time; siblings as bands;
// below a sub-orchestration that was opened its own rows.

import { COMPLETED, FAILED, QUEUED, RUNNING, WAITING } from "../shared/states.js";
import { durationMs, listing, quantiles } from "./rows.js";
import { POINTS, title } from "./words.js";

/** @import { Band, Group, Header, Item, More, Row, Span } from "./types.js" */
/** @import { RowLog } from "./rows.js" */

const BAND_FROM = 13;
const LISTED = 200;
export const ROW_PX = 26;
export const BAND_PX = 58;
const DEEPEST = 8;

/** What is open, hidden and looked for; makes the items that are drawn. */
export class List {
  /** @param {RowLog} log */
  constructor(log) {
    this.log = log;
    /** @type {Item[]} */
    this.items = [];
    /** @type {Set<string>} ids of bands that are open */
    this.expanded = new Set();
    /** @type {Set<string>} ids of bands of which all rows are listed */
    this.unlimited = new Set();
    /** @type {Set<string>} sub-orchestrations that are open */
    this.opened = new Set();
    this.hideCompleted = false;
    this.query = "";
    /** While true, what is listed keeps its place. */
    this.still = false;
    /** @type {Map<string, number>} */
    this.places = new Map();
    /** @type {Map<string, More>} what is known of rows besides their history, by their keys */
    this.more = new Map();
    /** @type {WeakMap<Row, [offset: number, row: Row]>} */
    this.shifted = new WeakMap();
  }

  /** Forget what was open. */
  reset() {
    this.expanded.clear();
    this.unlimited.clear();
    this.opened.clear();
  }

  /**
   * Make the items anew.
   * @param {Header} all the main header, which knows the sources
   * @param {Header} shown the header of the history that is shown
   * @param {number} slot its source
   */
  update(all, shown, slot) {
    this.all = all;
    this.zero = shown.start;
    /** @type {Item[]} */
    const waits = shown.finished ? [] : shown.awaited
      .filter((wait) => this.finds(`event ${wait.name}`))
      .map((wait) => ({ key: `wait ${wait.name}`, height: ROW_PX, level: 1, header: shown, wait }));
    this.items = [...waits, ...this.below(slot, shown, 1)];
    this.places = new Map(this.items.map((item, n) => [item.key, n]));
  }

  /**
   * The rows of a source, their times counted from the start of the history that is shown.
   * @param {number} slot @param {Header} header @returns {Row[]}
   */
  rowsOf(slot, header) {
    const rows = this.log.sources.get(slot) ?? [], offset = header.start - (this.zero ?? header.start);
    return offset ? rows.map((row) => this.shift(row, offset)) : rows;
  }

  /** @param {Row} row @param {number} offset @returns {Row} */
  shift(row, offset) {
    const known = this.shifted.get(row);
    if (known?.[0] === offset) return known[1];
    /** @param {number | null} at */
    const moved = (at) => (at === null ? null : at + offset);
    const shifted = {
      ...row,
      due: moved(row.due),
      spans: row.spans.map(([scheduled, started, ended, outcome]) =>
        /** @type {Span} */ ([scheduled + offset, moved(started), moved(ended), outcome])),
    };
    this.shifted.set(row, [offset, shifted]);
    return shifted;
  }

  /** @param {number} slot @param {Header} header @param {number} level @returns {Item[]} */
  below(slot, header, level) {
    /** @type {Map<number, Row[]>} */
    const members = new Map();
    for (const row of this.rowsOf(slot, header)) {
      if (!row) continue;
      const rows = members.get(row.group);
      if (rows) rows.push(row);
      else members.set(row.group, [row]);
    }
    /** @type {{open: boolean, at: number, one: Band | Row}[]} */
    const top = [];
    for (const [number, rows] of members) {
      const group = header.groups[number];
      if (!group) continue;
      if (rows.length < BAND_FROM) {
        for (const row of rows) {
          if (this.shows(row, group)) top.push({ open: row.state <= WAITING, at: row.index, one: row });
        }
        continue;
      }
      const band = this.band(slot, number, group, rows);
      if (band) top.push({ open: rows.some((row) => row.state <= WAITING), at: rows[0].index, one: band });
    }
    top.sort((a, b) => Number(b.open) - Number(a.open) || a.at - b.at);
    const kept = this.keepPlaces(top, ({ one }) => ("rows" in one ? `band ${one.id}` : keyOf(one)));
    return kept.flatMap(({ one }) => ("rows" in one ? this.bandItems(one, header, level) : this.rowItems(one, header, level)));
  }

  /** @param {number} slot @param {number} number @param {Group} group @param {Row[]} rows @returns {Band | null} */
  band(slot, number, group, rows) {
    if (this.hideCompleted && rows.every((row) => row.state === COMPLETED)) return null;
    const id = `${slot}:${number}`, found = this.query ? rows.filter((row) => this.shows(row, group)) : rows;
    if (!found.length) return null;
    const open = this.expanded.has(id) || (this.query !== "" && found.length < rows.length);
    const listed = open
      ? this.keepPlaces(listing(found.filter((row) => !this.hides(row))), keyOf)
      : null;
    return { group, slot, id, rows, listed, quantiles: quantiles(rows) };
  }

  /**
   * Leave what was listed before in its order while the pointer is there; what is new comes last.
   * @template T
   * @param {T[]} all
   * @param {(one: T) => string} key
   * @returns {T[]}
   */
  keepPlaces(all, key) {
    if (!this.still) return all;
    const at = new Map(all.map((one) => [one, this.places.get(key(one)) ?? this.places.size]));
    return [...all].sort((a, b) => (at.get(a) ?? 0) - (at.get(b) ?? 0));
  }

  /** @param {Row} row @param {Group} group */
  shows(row, group) {
    if (this.hides(row)) return false;
    return !this.query || this.finds(`${title(group)} ${row.hint} ${row.note}`)
      || (row.target !== "" && this.opened.has(openedBy(row)));
  }

  /** @param {Row} row */
  hides(row) {
    return this.hideCompleted && row.state === COMPLETED;
  }

  /** @param {string} text */
  finds(text) {
    return !this.query || text.toLowerCase().includes(this.query);
  }

  /** @param {Row} row @param {Header} header @param {number} level @returns {Item[]} */
  rowItems(row, header, level) {
    const open = row.target !== "" && this.opened.has(openedBy(row));
    /** @type {Item[]} */
    const items = [{ key: keyOf(row), height: ROW_PX, level, header, row, open }];
    if (!open || level >= DEEPEST) return items;
    if (row.target.startsWith("@")) return [...items, this.operation(row, header, level + 1)];
    const source = this.all?.sources?.find((one) => one.key === `instance:${row.target}`);
    const rows = source ? this.below(source.slot, source.header, level + 1) : [];
    if (rows.length) return [...items, ...rows];
    const words = !source ? "Asking the kernel …" : source.header.finished ? "It did nothing that can be shown." : "Nothing yet.";
    return [...items, { key: `load ${row.target}`, height: ROW_PX, level: level + 1, header, loading: words }];
  }

  /** The entity's side of a call: how long it lay in the queue, and was worked on. @param {Row} row @param {Header} header @param {number} level @returns {Item} */
  operation(row, header, level) {
    const did = this.more.get(keyOf(row))?.operation, key = `op ${row.source}:${row.index}`;
    if (!did?.requested_at) {
      const words = this.more.has(keyOf(row)) ? "Nothing is known of the entity's side." : "Asking the kernel …";
      return { key: `load ${key}`, height: ROW_PX, level, header, loading: words };
    }
    const zero = this.zero ?? header.start, [requested, started, finished] = [did.requested_at, did.started_at, did.finished_at]
      .map((at) => (at === null ? null : at - zero));
    const name = header.groups[row.group]?.name ?? "", outcome = did.status === "failed" ? 2 : finished === null ? 0 : 1;
    /** @type {Span} */
    const span = [requested ?? 0, started, finished, outcome];
    const state = outcome === 2 ? FAILED : outcome === 1 ? COMPLETED : started === null ? QUEUED : RUNNING;
    const inside = { ...header, groups: [{ kind: "operation", name: name.split(".").pop() ?? name, counts: [] }] };
    return { key, height: ROW_PX, level, header: inside, row: { ...row, group: 0, state, spans: [span], target: "", note: "", due: null } };
  }

  /** @param {Band} band @param {Header} header @param {number} level @returns {Item[]} */
  bandItems(band, header, level) {
    /** @type {Item[]} */
    const items = [{ key: `band ${band.id}`, height: BAND_PX, level, header, band, open: band.listed !== null }];
    if (!band.listed) return items;
    const limit = this.unlimited.has(band.id) ? Infinity : LISTED;
    for (const row of band.listed.slice(0, limit)) items.push(...this.rowItems(row, header, level + 1));
    if (band.listed.length > limit) items.push({ key: `more ${band.id}`, height: ROW_PX, level: level + 1, header, more: band });
    return items;
  }
}

/** @param {Row} row @returns {string} what is open when what nests below a row is shown */
export const openedBy = (row) => (row.target.startsWith("@") ? `call ${keyOf(row)}` : `instance:${row.target}`);

/** @param {Row} row @returns {string} */
export const keyOf = (row) => `row ${row.source}:${row.index}`;

/** @param {Row} row @param {Group} group @param {number} now @returns {number | null} how long a row took, where that means anything */
export const takenMs = (row, group, now) => (POINTS.has(group.kind) ? null : durationMs(row, now));
