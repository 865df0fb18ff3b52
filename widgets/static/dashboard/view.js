// @ts-check
// One mounted dashboard: what there is and when it came, what waits, who works, and the instances.

import { Commands } from "../shared/commands.js";
import { icon, make, setText, SVG, syncChildren } from "../shared/dom.js";
import { nameChoice, searchField } from "../shared/filters.js";
import { STATUS_STATE, STATUS_WORDS } from "../shared/states.js";
import { Table, drawMoment } from "../shared/table.js";
import { View } from "../shared/view.js";
import { durationWords, momentWords, number, SECOND, zoneWords } from "../shared/words.js";
import { Bars } from "./bars.js";
import { Versions, Waits, Workers } from "./lists.js";

/** @import { Model } from "../shared/model.js" */
/** @import { Column, Row } from "../shared/table.js" */
/** @import { Beat, Head } from "./types.js" */

const SPANS = [["1h", "hour"], ["1d", "day"], ["7d", "week"], ["all", "all"]];
const LEAST_PAUSE = SECOND;
const PAUSE_FOR = 10;
const SPARK = [90, 18];
const QUIET = 2.5 * SECOND;

/** @param {number} bytes */
function sizeWords(bytes) {
  for (const unit of ["B", "KB", "MB"]) {
    if (bytes < 1000) return `${bytes < 10 && unit !== "B" ? bytes.toFixed(1) : Math.round(bytes)} ${unit}`;
    bytes /= 1024;
  }
  return `${bytes.toFixed(1)} GB`;
}

/** One mounted dashboard. */
export class DashboardView extends View {
  /** @param {Model} model @param {HTMLElement} host */
  constructor(model, host) {
    super(model, host, "ipd-dashboard");
    this.commands = new Commands(model);
    this.drawnRates = "";
    this.words = "";
    const head = make("div", "ipd-dashboard-head", this.root);
    this.store = make("span", "ipd-view-title", head);
    this.facts = make("span", "ipd-dim", head);
    this.rate = make("span", "ipd-rate", head);
    this.spark = /** @type {SVGSVGElement} */ (document.createElementNS(SVG, "svg"));
    this.spark.setAttribute("class", "ipd-spark");
    this.spark.setAttribute("viewBox", `0 0 ${SPARK[0]} ${SPARK[1]}`);
    this.spark.setAttribute("aria-hidden", "true");
    this.spark.append(document.createElementNS(SVG, "path"));
    this.rate.append(this.spark);
    this.rateWords = make("span", "", this.rate);
    const spans = make("span", "ipd-group ipd-spans", head);
    spans.setAttribute("role", "group");
    spans.setAttribute("aria-label", "How far back");
    this.spans = SPANS.map(([name, words]) => {
      const button = make("button", "ipd-button", spans, words);
      button.setAttribute("type", "button");
      button.addEventListener("click", () => this.take(name));
      return button;
    });
    this.trouble = make("div", "ipd-dashboard-trouble", this.root);
    icon("failed", this.trouble);
    make("span", "", this.trouble);
    this.counts = make("div", "ipd-status-counts", this.root);
    this.counts.setAttribute("role", "group");
    this.counts.setAttribute("aria-label", "Instances by status; press to list only these");
    this.bars = new Bars(this.root, this.id, (from, to) => this.look({ from, to }));
    const open = (/** @type {string} */ key) => this.open(key);
    const panels = make("div", "ipd-panels", this.root);
    this.waits = new Waits(panels, open, () => this.queue());
    const right = make("div", "", panels);
    this.workers = new Workers(right, open);
    this.versions = new Versions(right);
    make("div", "ipd-panel-title", this.root, "Instances");
    const filters = make("div", "ipd-filters", this.root);
    searchField(filters, "Search instance ids", "", (text) => this.look({ text }));
    this.choice = nameChoice(filters, "Orchestrator", (name) => this.look({ name }));
    this.when = make("button", "ipd-button", filters);
    this.when.setAttribute("type", "button");
    this.when.addEventListener("click", () => this.look({ from: null, to: null }));
    this.table = this.makeTable();
    this.opened = make("div", "ipd-opened-line", this.root);
    make("span", "ipd-dim", this.opened, "opened:");
    make("b", "", this.opened);
    const close = make("button", "ipd-button", this.opened, "Close");
    close.setAttribute("type", "button");
    close.addEventListener("click", () => this.open(""));
    for (const trait of ["rates", "head", "counts", "names", "histogram", "waits", "versions", "opened", "span"]) this.follow(trait);
    /** Whether an overview is being taken, and when the next may be. */
    this.isLooking = false;
    this.mayLookAt = 0;
    // What the kernel sent was right when it was made.
    this.isStale = true;
    this.follow("beat", () => {
      this.measureClock(this.beat?.now ?? 0);
      this.isStale = true;
    });
    this.queue();
  }

  /** @returns {Table} */
  makeTable() {
    /** @type {Column[]} a row is: id, name, status, created, started, ended, note */
    const columns = [
      { key: "status", label: "Status", sort: true, className: "ipd-td-state", draw: drawStatus },
      { key: "id", label: "Instance", sort: true, className: "ipd-td-id", draw: (cell, row) => setText(cell, row[0]) },
      { key: "name", label: "Orchestrator", sort: true, className: "ipd-td-extra", draw: (cell, row) => setText(cell, row[1]) },
      { key: "created", label: `Created (${zoneWords(Date.now())})`, sort: true, className: "ipd-td-time", draw: (cell, row) => drawMoment(cell, row[3]) },
      { key: "took", label: "Took", sort: true, className: "ipd-td-short", moves: (row) => row[5] === null, draw: (cell, row) => setText(cell, this.took(row)) },
      { key: "note", label: "Note", className: "ipd-td-wide", draw: (cell, row) => setText(cell, row[6] ?? "") },
    ];
    const table = new Table(this.root, {
      label: "Instances",
      none: "No instances.",
      columns,
      ask: (query, offset, limit) => this.commands.ask("page", { query, offset, limit }),
      open: (row) => this.open(row[0] === this.model.get("opened") ? "" : row[0]),
      changed: () => this.queue(),
    });
    table.body.id = `${this.id}-rows`;
    table.query = { sort: "created", up: false };
    table.give(this.model.get("first") ?? { total: 0, rows: [] });
    table.refresh();
    return table;
  }

  /** @returns {Beat | null} */
  get beat() {
    const beat = this.model.get("beat");
    return beat && "gseq" in beat ? beat : null;
  }

  get rhythm() {
    const beat = this.beat;
    if (!beat) return 0;
    const isFresh = this.clock() - beat.now < QUIET + SECOND;
    if (beat.work.length || isFresh) return SECOND;
    return this.model.get("waits")?.length ? 10 * SECOND : 0;
  }

  /** @param {Row} row */
  took(row) {
    if (row[4] === null) return "";
    return durationWords(Math.max(0, (row[5] ?? this.clock()) - row[4]));
  }

  /** List other instances. @param {object} change */
  look(change) {
    const query = { ...this.table.query, ...change };
    this.table.query = query;
    const isAll = !query.text && !query.name && !query.status?.length && (query.from ?? null) === null;
    this.table.none = isAll ? "No instances." : "None is like that.";
    this.table.start();
  }

  /** Have an overview taken. @param {string} [span] */
  take(span = this.model.get("span")) {
    this.isLooking = true;
    this.isStale = false;
    const begun = performance.now();
    this.commands.ask("look", { span }).then(() => this.say(""), (error) => this.say(error.message)).finally(() => {
      this.isLooking = false;
      // However large the store, looking at it is a small part of the time.
      this.mayLookAt = performance.now() + Math.max(LEAST_PAUSE, (performance.now() - begun) * PAUSE_FOR);
      if (this.isStale) this.lookAgain();
    });
  }

  /** Take the next overview when it may be. */
  lookAgain() {
    clearTimeout(this.pause);
    this.pause = window.setTimeout(() => this.queue(), Math.max(0, this.mayLookAt - performance.now()));
  }

  /** @param {string} key */
  open(key) {
    this.commands.ask("open", { key }).then(() => this.say(""), (error) => this.say(error.message));
  }

  /** @param {string} words */
  say(words) {
    this.words = words;
    this.queue();
  }

  draw() {
    if (this.isStale && !this.isLooking && !this.connection) {
      if (performance.now() < this.mayLookAt) this.lookAgain();
      else {
        this.take();
        this.table.refresh();
      }
    }
    /** @type {Head} */
    const head = this.model.get("head"), beat = this.beat;
    setText(this.store, head.store.split(/[\\/]/).pop() ?? "");
    this.store.title = head.store;
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", `Dashboard of ${head.store}`);
    setText(this.facts, `${sizeWords(head.size)}${beat ? ` · ${number(beat.live)} in flight` : ""}`);
    const trouble = this.words || head.trouble;
    this.trouble.hidden = !trouble;
    setText(this.trouble.children[1], trouble);
    this.drawRate(beat);
    const span = this.model.get("span");
    this.spans.forEach((button, n) => button.setAttribute("aria-pressed", `${SPANS[n][0] === span}`));
    this.drawCounts();
    this.bars.draw(this.model.get("histogram"));
    const now = this.clock();
    this.waits.draw(this.model.get("waits"), now);
    if (beat) this.workers.draw(beat, now);
    this.versions.draw(this.model.get("versions"));
    this.drawTable();
  }

  drawCounts() {
    /** @type {[string, number][]} */
    const counts = this.model.get("counts"), chosen = new Set(this.table.query.status ?? []);
    syncChildren(this.counts, counts.length, "", (slot, n) => {
      const [status, count] = counts[n], state = STATUS_STATE[status] ?? "queued";
      if (slot.dataset.status !== status) {
        slot.dataset.status = status;
        slot.replaceChildren();
        const button = make("button", `ipd-status ipd-count ipd-${state}`, slot);
        button.setAttribute("type", "button");
        icon(state, button);
        make("b", "", button);
        make("span", "", button, STATUS_WORDS[status] ?? status);
        button.addEventListener("click", () => {
          const now = new Set(this.table.query.status ?? []);
          if (!now.delete(status)) now.add(status);
          this.look({ status: [...now] });
        });
      }
      const button = slot.children[0];
      setText(button.children[1], number(count));
      button.setAttribute("aria-pressed", `${chosen.has(status)}`);
    });
  }

  drawTable() {
    /** @type {[string, number][]} */
    const names = this.model.get("names"), query = this.table.query;
    const all = names.reduce((sum, [, count]) => sum + count, 0);
    this.choice.draw(names, query.name ?? "", `all orchestrators (${number(all)})`);
    this.when.hidden = (query.from ?? null) === null;
    if (!this.when.hidden) setText(this.when, `created ${momentWords(query.from)} to ${momentWords(query.to)} ${zoneWords(query.to)} ✕`);
    this.table.opened = this.model.get("opened") ?? "";
    this.table.draw();
    this.opened.hidden = !this.table.opened;
    setText(this.opened.children[1], this.table.opened.replace(/^@/, ""));
  }

  /** @param {Beat | null} beat */
  drawRate(beat) {
    /** @type {[number, number][]} */
    const rates = this.model.get("rates") ?? [], last = rates[rates.length - 1];
    const isQuiet = !beat || !last || this.clock() - beat.now > QUIET;
    setText(this.rateWords, isQuiet ? "no events now" : `${number(Math.round(last[1]))} events/s`);
    const key = JSON.stringify(rates);
    if (key === this.drawnRates) return;
    this.drawnRates = key;
    this.spark.toggleAttribute("hidden", rates.length < 2 || !rates.some(([, rate]) => rate));
    const most = Math.max(1, ...rates.map(([, rate]) => rate)), [width, height] = SPARK;
    const points = rates.map(([, rate], n) => `${((n / Math.max(1, rates.length - 1)) * width).toFixed(1)} ${(height - 1 - (rate / most) * (height - 2)).toFixed(1)}`);
    this.spark.firstElementChild?.setAttribute("d", points.length > 1 ? `M${points.join("L")}` : "");
  }

  destroy() {
    clearTimeout(this.pause);
    this.commands.close();
    super.destroy();
  }
}

/** @param {HTMLElement} cell @param {Row} row */
function drawStatus(cell, row) {
  const state = STATUS_STATE[row[2]] ?? "queued";
  icon(state, cell);
  make("span", "", cell, STATUS_WORDS[row[2]] ?? row[2]);
}
