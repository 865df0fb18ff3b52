// @ts-check
// One mounted table of entities: search, filters, rows; a click opens an entity's card beside it.

import { Commands } from "../shared/commands.js";
import { icon, make, setText } from "../shared/dom.js";
import { checkBox, nameChoice, searchField } from "../shared/filters.js";
import { Table, drawMoment } from "../shared/table.js";
import { View } from "../shared/view.js";
import { number, zoneWords } from "../shared/words.js";

/** @import { Model } from "../shared/model.js" */
/** @import { Column, Row } from "../shared/table.js" */

/** @type {Column[]} a row is: id, name, key, state, waiting, locked by, modified */
const COLUMNS = [
  { key: "name", label: "Kind", sort: true, className: "ipd-td-extra", draw: (cell, row) => setText(cell, row[1]) },
  { key: "key", label: "Key", sort: true, draw: (cell, row) => setText(cell, row[2]) },
  { key: "state", label: "State", className: "ipd-td-wide", draw: (cell, row) => void make("span", "ipd-code", cell, row[3]) },
  { key: "pending", label: "Waiting", sort: true, className: "ipd-td-number", draw: (cell, row) => setText(cell, row[4] ? number(row[4]) : "") },
  { key: "locked", label: "Locked by", sort: true, className: "ipd-td-extra", draw: drawLock },
  { key: "modified", label: `Modified (${zoneWords(Date.now())})`, sort: true, className: "ipd-td-time", draw: (cell, row) => drawMoment(cell, row[6]) },
];

/** @param {HTMLElement} cell @param {Row} row */
function drawLock(cell, row) {
  if (!row[5]) return;
  icon("lock", cell);
  make("span", "", cell, row[5]);
}

/** One mounted table of entities. */
export class EntitiesView extends View {
  /** @param {Model} model @param {HTMLElement} host */
  constructor(model, host) {
    super(model, host, "ipd-entities");
    this.commands = new Commands(model);
    const given = model.get("query") ?? {};
    make("div", "ipd-view-title", this.root, "Entities");
    const filters = make("div", "ipd-filters", this.root);
    searchField(filters, "Search kind@key", given.text ?? "", (text) => this.look({ text }));
    this.kinds = nameChoice(filters, "Kind", (name) => this.look({ name }));
    checkBox(filters, "locked", Boolean(given.locked), (locked) => this.look({ locked }));
    checkBox(filters, "with a backlog", Boolean(given.busy), (busy) => this.look({ busy }));
    /** @type {[string, number][]} */
    this.names = [];
    this.table = new Table(this.root, {
      label: "Entities",
      none: "No entities.",
      columns: COLUMNS,
      ask: (query, offset, limit) => this.commands.ask("page", { query, offset, limit }),
      open: (row) => this.open(row[0] === model.get("opened") ? "" : row[0]),
      heard: (page) => {
        if (page.names) this.names = page.names;
      },
      changed: () => this.queue(),
    });
    this.table.body.id = `${this.id}-rows`;
    this.table.query = { sort: "modified", up: false, ...given };
    this.opened = make("div", "ipd-opened-line", this.root);
    make("span", "ipd-dim", this.opened, "opened:");
    make("b", "", this.opened);
    const close = make("button", "ipd-button", this.opened, "Close");
    close.setAttribute("type", "button");
    close.addEventListener("click", () => this.open(""));
    this.follow("stamp", () => {
      this.measureClock(this.model.get("stamp").now);
      this.table.refresh();
    });
    this.follow("opened");
    const first = model.get("first") ?? { total: 0, rows: [], names: [] };
    this.names = first.names ?? [];
    this.table.give(first);
    this.table.refresh();
  }

  /** Look for something else. @param {object} change */
  look(change) {
    const query = { ...this.table.query, ...change };
    this.table.query = query;
    this.table.none = query.text || query.name || query.locked || query.busy ? "None is like that." : "No entities.";
    this.table.start();
  }

  /** @param {string} key */
  open(key) {
    this.commands.ask("open", { key }).catch((error) => {
      this.table.trouble = error.message;
      this.queue();
    });
  }

  draw() {
    const all = this.names.reduce((sum, [, count]) => sum + count, 0);
    this.kinds.draw(this.names, this.table.query.name ?? "", `all kinds (${number(all)})`);
    this.table.opened = this.model.get("opened") ?? "";
    this.table.draw();
    this.opened.hidden = !this.table.opened;
    setText(this.opened.children[1], this.table.opened.replace(/^@/, ""));
  }

  destroy() {
    this.commands.close();
    super.destroy();
  }
}
