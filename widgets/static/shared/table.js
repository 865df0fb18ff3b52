// @ts-check
// A table of any number of rows: only those in sight are asked for, and only they have nodes.

import { make, setText } from "./dom.js";
import { momentWords, number, utcWords } from "./words.js";

/**
 * @typedef {any[]} Row its first value tells it from all others
 * @typedef {{key: string, label: string, className?: string, sort?: boolean,
 *   moves?(row: Row): boolean, draw(cell: HTMLElement, row: Row): void}} Column
 * @typedef {{total: number, rows: Row[], [more: string]: any}} Page
 */

const ROW_PX = 27;
const PAGE = 50;
const AT_MOST = 12;

/** A table. What is looked for is in `query`; whoever changes it calls `start`. */
export class Table {
  /**
   * @param {HTMLElement} parent
   * @param {object} how
   * @param {string} how.label what it lists, for those who cannot see it
   * @param {string} how.none what it says when nothing is found
   * @param {Column[]} how.columns
   * @param {(query: object, offset: number, limit: number) => Promise<Page>} how.ask
   * @param {(row: Row) => void} how.open called when a row is chosen
   * @param {(page: Page) => void} [how.heard] called with every page
   * @param {() => void} how.changed called when it wants to be drawn
   */
  constructor(parent, { label, none, columns, ask, open, heard, changed }) {
    this.columns = columns;
    this.ask = ask;
    this.open = open;
    this.heard = heard;
    this.changed = changed;
    this.none = none;
    /** @type {{sort?: string, up?: boolean, [name: string]: any}} */
    this.query = {};
    this.total = 0;
    /** What was asked before this counts no more. */
    this.asked = 0;
    /** @type {Map<number, Row[]>} */
    this.pages = new Map();
    /** @type {Set<number>} pages that may have changed since they were asked for */
    this.stale = new Set();
    /** @type {Set<number>} */
    this.waiting = new Set();
    this.current = -1;
    this.opened = "";
    this.trouble = "";
    this.root = make("div", "ipd-grid", parent);
    this.root.setAttribute("role", "grid");
    this.root.setAttribute("aria-label", label);
    this.head = make("div", "ipd-table-head", this.root);
    this.head.setAttribute("role", "row");
    for (const column of columns) this.heading(column);
    this.body = make("div", "ipd-table-body", this.root);
    this.body.tabIndex = 0;
    this.body.setAttribute("role", "rowgroup");
    this.body.setAttribute("aria-label", `${label}: arrow keys move, Enter opens`);
    this.space = make("div", "ipd-table-space", this.body);
    this.foot = make("div", "ipd-dim ipd-table-foot", parent);
    this.foot.setAttribute("role", "status");
    this.body.addEventListener("scroll", () => this.changed(), { passive: true });
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("focus", () => {
      if (this.current < 0 && this.total) this.current = this.firstInSight;
      this.changed();
    });
    this.space.addEventListener("click", (event) => {
      const node = event.target instanceof Element ? event.target.closest("[data-place]") : null;
      if (node instanceof HTMLElement) this.choose(Number(node.dataset.place));
    });
  }

  /** @param {Column} column */
  heading(column) {
    const cell = make("div", `ipd-td ${column.className ?? ""}`, this.head);
    cell.setAttribute("role", "columnheader");
    if (!column.sort) {
      setText(cell, column.label);
      return;
    }
    const button = make("button", "ipd-sort", cell, column.label);
    button.setAttribute("type", "button");
    cell.dataset.sort = column.key;
    button.addEventListener("click", () => {
      const same = this.query.sort === column.key;
      this.query = { ...this.query, sort: column.key, up: same ? !this.query.up : false };
      this.start();
    });
  }

  /** Look for something else, or in another order. */
  start() {
    this.asked++;
    this.pages.clear();
    this.stale.clear();
    this.waiting.clear();
    this.current = -1;
    this.body.scrollTop = 0;
    this.isNew = true;
    this.changed();
  }

  /** Take what is known without asking. @param {Page} page the first */
  give(page) {
    this.total = page.total;
    this.pages.set(0, page.rows);
    this.changed();
  }

  /** Rows may have changed: those in sight are asked for again, and shown until they are there. */
  refresh() {
    for (const page of this.pages.keys()) this.stale.add(page);
    this.isNew = this.isNew || !this.pages.size;
    this.changed();
  }

  get firstInSight() {
    return Math.floor(this.body.scrollTop / ROW_PX);
  }

  draw() {
    const count = Math.min(AT_MOST, Math.max(1, this.total));
    this.body.style.height = `${count * ROW_PX}px`;
    this.space.style.height = `${Math.max(1, this.total) * ROW_PX}px`;
    this.root.setAttribute("aria-rowcount", `${this.total}`);
    const first = Math.max(0, this.firstInSight - 2);
    const last = Math.max(first, Math.min(this.total, first + AT_MOST + 5));
    for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last - 1) / PAGE); page++) this.need(page);
    // The heads stand above their columns also beside a scroll bar.
    const bar = `${this.body.offsetWidth - this.body.clientWidth}px`;
    if (this.head.style.paddingRight !== bar) this.head.style.paddingRight = bar;
    this.drawRows(first, last);
    for (const cell of /** @type {any} */ (this.head.children)) {
      const way = cell.dataset.sort && cell.dataset.sort === this.query.sort ? (this.query.up ? "ascending" : "descending") : "none";
      if (cell.dataset.sort) cell.setAttribute("aria-sort", way);
    }
    const at = this.total > AT_MOST ? `, ${number(this.firstInSight + 1)} to ${number(Math.min(this.total, this.firstInSight + AT_MOST))} in sight` : "";
    setText(this.foot, this.trouble || (this.total ? `${number(this.total)}${at}` : this.waiting.size && this.isNew ? "" : this.none));
    this.foot.classList.toggle("ipd-failed", this.trouble !== "");
  }

  /** @param {number} page */
  need(page) {
    const isThere = this.pages.has(page) && !this.stale.has(page);
    if (isThere || this.waiting.has(page) || (!this.isNew && page * PAGE >= Math.max(1, this.total))) return;
    const asked = this.asked;
    this.isNew = false;
    this.waiting.add(page);
    this.stale.delete(page);
    this.ask(this.query, page * PAGE, PAGE).then((found) => {
      if (asked !== this.asked) return;
      this.trouble = "";
      this.total = found.total;
      const was = this.rowAt(this.current)?.[0];
      this.pages.set(page, found.rows);
      this.findCurrent(was);
      this.heard?.(found);
    }, (error) => {
      if (asked === this.asked) this.trouble = error.message;
    }).finally(() => {
      if (asked !== this.asked) return;
      this.waiting.delete(page);
      this.changed();
    });
  }

  /** Rows that came before it have moved it. @param {any} key */
  findCurrent(key) {
    if (key === undefined || this.rowAt(this.current)?.[0] === key) return;
    for (const [page, rows] of this.pages) {
      const n = rows.findIndex((row) => row[0] === key);
      if (n >= 0 && !this.stale.has(page)) this.current = page * PAGE + n;
    }
  }

  /** @param {number} place @returns {Row | undefined} */
  rowAt(place) {
    return place < 0 ? undefined : this.pages.get(Math.floor(place / PAGE))?.[place % PAGE];
  }

  /** @param {number} first @param {number} last */
  drawRows(first, last) {
    const nodes = /** @type {HTMLCollectionOf<HTMLElement>} */ (this.space.children);
    while (nodes.length > last - first) nodes[nodes.length - 1].remove();
    while (nodes.length < last - first) {
      const node = make("div", "ipd-table-row", this.space);
      node.setAttribute("role", "row");
      for (const column of this.columns) {
        make("div", `ipd-td ${column.className ?? ""}`, node).setAttribute("role", "gridcell");
      }
    }
    let active = "";
    for (let n = 0; n < nodes.length; n++) {
      const node = nodes[n], place = first + n, row = this.rowAt(place);
      const top = `${place * ROW_PX}px`;
      if (node.style.top !== top) node.style.top = top;
      node.dataset.place = `${place}`;
      node.setAttribute("aria-rowindex", `${place + 2}`);
      node.classList.toggle("ipd-current", place === this.current);
      node.classList.toggle("ipd-opened", row !== undefined && row[0] === this.opened);
      node.setAttribute("aria-selected", `${row !== undefined && row[0] === this.opened}`);
      node.id = `${this.body.id}-${place}`;
      if (place === this.current) active = node.id;
      const sent = row ? JSON.stringify(row) : "";
      if (node.dataset.sent === sent) {
        if (row) this.drawMoving(node, row);
        continue;
      }
      node.dataset.sent = sent;
      for (let c = 0; c < this.columns.length; c++) {
        const cell = /** @type {HTMLElement} */ (node.children[c]);
        cell.replaceChildren();
        cell.title = "";
        if (row) this.columns[c].draw(cell, row);
        else if (c === 0) setText(cell, "…");
        cell.title ||= cell.textContent ?? "";
      }
    }
    if (active) this.body.setAttribute("aria-activedescendant", active);
    else this.body.removeAttribute("aria-activedescendant");
  }

  /** Draw what changes with the time alone. @param {HTMLElement} node @param {Row} row */
  drawMoving(node, row) {
    this.columns.forEach((column, c) => {
      if (column.moves?.(row)) column.draw(/** @type {HTMLElement} */ (node.children[c]), row);
    });
  }

  /** @param {number} place */
  choose(place) {
    this.current = place;
    const row = this.rowAt(place);
    if (row) this.open(row);
    this.changed();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const moves = /** @type {Record<string, number>} */ ({
      ArrowDown: this.current + 1, ArrowUp: this.current - 1, PageDown: this.current + AT_MOST - 1,
      PageUp: this.current - AT_MOST + 1, Home: 0, End: this.total - 1,
    });
    if (event.key in moves) {
      this.current = Math.max(0, Math.min(this.total - 1, moves[event.key]));
      const top = this.current * ROW_PX, shown = this.body.clientHeight;
      if (top < this.body.scrollTop) this.body.scrollTop = top;
      if (top + ROW_PX > this.body.scrollTop + shown) this.body.scrollTop = top + ROW_PX - shown;
      this.changed();
    } else if (event.key === "Enter" || event.key === " ") this.choose(this.current);
    else return;
    // Jupyter has meanings of its own for these keys.
    event.preventDefault();
    event.stopPropagation();
  }
}

/** Write a time into a cell: short, and exact where the pointer rests. @param {HTMLElement} cell @param {number} at */
export function drawMoment(cell, at) {
  setText(cell, momentWords(at));
  cell.title = utcWords(at);
}
