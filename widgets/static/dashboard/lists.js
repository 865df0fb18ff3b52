// @ts-check
// What waits, what workers do, what versions are in flight: short lists.

import { icon, make, setIcon, setText, syncChildren } from "../shared/dom.js";
import { durationWords, momentWords, number, utcWords, zoneWords } from "../shared/words.js";

/** @import { Beat, InFlight, Wait } from "./types.js" */

const WORK_SHOWN = 8;
const WAITS_SHOWN = 8;

/** @param {Wait} wait */
const stateOf = (wait) => (wait.status === "Suspended" || wait.hint ? "waiting" : "queued");

/** The instances that have waited longest. */
export class Waits {
  /** @param {HTMLElement} parent @param {(id: string) => void} open @param {() => void} changed */
  constructor(parent, open, changed) {
    this.root = make("section", "ipd-panel", parent);
    this.root.setAttribute("aria-label", "Waiting longest");
    this.title = make("h4", "ipd-panel-title", this.root);
    this.list = make("div", "ipd-panel-list", this.root);
    this.none = make("div", "ipd-dim", this.root, "Nothing waits.");
    this.more = make("button", "ipd-button", this.root);
    this.more.setAttribute("type", "button");
    this.all = false;
    this.open = open;
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      changed();
    });
  }

  /** @param {Wait[]} waits @param {number} now */
  draw(waits, now) {
    setText(this.title, `Waiting longest (times in ${zoneWords(now)})`);
    const shown = this.all ? waits : waits.slice(0, WAITS_SHOWN);
    this.none.hidden = waits.length > 0;
    this.more.hidden = waits.length <= WAITS_SHOWN;
    setText(this.more, this.all ? "Show fewer" : `Show ${number(waits.length - WAITS_SHOWN)} more`);
    syncChildren(this.list, shown.length, "ipd-wait-row", (row, n) => this.drawOne(row, shown[n], now));
  }

  /** @param {HTMLElement} row @param {Wait} wait @param {number} now */
  drawOne(row, wait, now) {
    if (!row.childElementCount) {
      icon("queued", row);
      const words = make("div", "ipd-wait-words", row);
      const link = make("button", "ipd-link", words);
      link.setAttribute("type", "button");
      link.addEventListener("click", () => this.open(row.dataset.id ?? ""));
      make("span", "", words);
      const entity = make("button", "ipd-link", words, "show it");
      entity.setAttribute("type", "button");
      entity.addEventListener("click", () => this.open(row.dataset.entity ?? ""));
      make("div", "ipd-dim", words);
      const time = make("span", "ipd-dim ipd-wait-time", row);
      make("div", "", time);
      make("div", "", time);
    }
    row.dataset.id = wait.instance_id;
    row.dataset.entity = wait.entity_id;
    setIcon(/** @type {SVGElement} */ (row.children[0]), stateOf(wait));
    const [link, what, entity, hint] = /** @type {HTMLElement[]} */ ([...row.children[1].children]);
    setText(link, wait.instance_id);
    const until = wait.until === null ? "" : ` until ${momentWords(wait.until)}`;
    setText(what, `waits for ${wait.what}${until}`);
    if (wait.until !== null) what.title = `until ${utcWords(wait.until)}`;
    else what.removeAttribute("title");
    entity.hidden = !wait.entity_id;
    entity.setAttribute("aria-label", `Show the entity ${wait.entity_id}`);
    hint.hidden = !wait.hint;
    setText(hint, wait.hint);
    const time = /** @type {HTMLElement} */ (row.children[2]);
    setText(time.children[0], durationWords(Math.max(0, now - wait.since)));
    setText(time.children[1], `since ${momentWords(wait.since)}`);
    time.title = `since ${utcWords(wait.since)}`;
  }
}

/** The executors, how busy they are, and what their workers do. */
export class Workers {
  /** @param {HTMLElement} parent @param {(id: string) => void} open */
  constructor(parent, open) {
    this.root = make("section", "ipd-panel", parent);
    this.root.setAttribute("aria-label", "Workers");
    make("h4", "ipd-panel-title", this.root, "Workers");
    this.lanes = make("div", "ipd-lanes", this.root);
    this.held = make("div", "ipd-dim", this.root);
    this.list = make("div", "ipd-panel-list", this.root);
    this.more = make("div", "ipd-dim", this.root);
    this.open = open;
  }

  /** @param {Beat} beat @param {number} now */
  draw(beat, now) {
    syncChildren(this.lanes, beat.lanes.length, "ipd-lane", (row, n) => {
      const lane = beat.lanes[n], busy = Math.min(lane.capacity, lane.in_flight), waiting = lane.in_flight - busy + lane.ready;
      if (!row.childElementCount) {
        make("span", "", row);
        make("span", "ipd-lane-full", make("span", "ipd-lane-bar", row));
        make("span", "ipd-dim", row);
      }
      setText(row.children[0], lane.name);
      const full = /** @type {HTMLElement} */ (row.children[1].children[0]), share = `${(busy / Math.max(1, lane.capacity)) * 100}%`;
      if (full.style.width !== share) full.style.width = share;
      setText(row.children[2], `${number(busy)} of ${number(lane.capacity)} busy${waiting ? `, ${number(waiting)} waiting` : ""}`);
    });
    this.held.hidden = !beat.held;
    setText(this.held, `${number(beat.held)} wait for a limit of their activity`);
    const shown = beat.work.slice(0, WORK_SHOWN);
    syncChildren(this.list, shown.length, "ipd-work", (row, n) => {
      const one = shown[n];
      if (!row.childElementCount) {
        icon("running", row);
        make("span", "ipd-work-name", row);
        const link = make("button", "ipd-link", row);
        link.setAttribute("type", "button");
        link.addEventListener("click", () => this.open(row.dataset.id ?? ""));
        make("span", "ipd-dim", row);
        make("span", "ipd-dim ipd-wait-time", row);
      }
      row.dataset.id = one.instance_id;
      setText(row.children[1], one.name);
      setText(row.children[2], one.instance_id);
      setText(row.children[3], one.worker);
      setText(row.children[4], durationWords(Math.max(0, now - one.since)));
    });
    const more = beat.work.length - shown.length;
    this.more.hidden = more <= 0;
    setText(this.more, `and ${more >= 92 ? "more" : `${number(more)} more`}`);
  }
}

/** The versions in flight. */
export class Versions {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.root = make("section", "ipd-panel", parent);
    this.root.setAttribute("aria-label", "Versions in flight");
    make("h4", "ipd-panel-title", this.root, "Versions in flight");
    this.list = make("div", "ipd-versions", this.root);
  }

  /** @param {InFlight[]} versions */
  draw(versions) {
    this.root.hidden = !versions.length;
    syncChildren(this.list, versions.length, "ipd-version", (row, n) => {
      const one = versions[n];
      if (!row.childElementCount) {
        make("span", "", row);
        make("span", "", row);
        make("span", "ipd-dim", row);
      }
      setText(row.children[0], one.name);
      setText(row.children[1], one.number ? `v${one.number}` : "unknown");
      const age = one.number && one.number < one.newest ? `, newest is v${one.newest}` : "";
      setText(row.children[2], `${number(one.count)}${age}`);
    });
  }
}
