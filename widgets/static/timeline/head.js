// @ts-check
// What stands above the rows: name, status, counts, what it waits for, why it failed.

import { icon, make, setAttribute, setIcon, setText, syncChildren } from "../shared/dom.js";
import { ABANDONED, COMPLETED, COUNT_ORDER, FAILED, RUNNING, STATES, STATUS_STATE, STATUS_WORDS } from "../shared/states.js";
import { durationWords, number, utcWords, zonedWords } from "../shared/words.js";
import { waitingWords } from "./words.js";

/** @import { Header } from "./types.js" */

export class Head {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.element = make("div", "ipd-head", root);
    this.name = make("span", "ipd-name", this.element);
    this.chip = make("span", "ipd-chip", this.element);
    this.chipIcon = icon("queued", this.chip);
    this.status = make("span", "", this.chip);
    this.elapsed = make("span", "ipd-elapsed", this.element);
    this.instance = make("span", "ipd-id", this.element);
    this.progress = make("div", "ipd-progress", root);
    this.progress.setAttribute("role", "progressbar");
    this.message = make("div", "ipd-message", root);
    this.message.setAttribute("role", "status");
    this.counts = make("div", "ipd-counts", root);
    this.shown = "";
  }

  /** @param {Header} header @param {number} now @param {boolean} cut whether that was the last that was heard */
  draw(header, now, cut) {
    const state = STATUS_STATE[header.status] ?? "queued";
    setText(this.name, header.name);
    const looks = `ipd-chip ipd-${state}`;
    setAttribute(this.chip, "class", looks);
    setIcon(this.chipIcon, state);
    setText(this.status, (STATUS_WORDS[header.status] ?? header.status) + (cut ? " when last heard of" : ""));
    setText(this.elapsed, durationWords(Math.max(0, now)));
    setText(this.instance, header.instance_id);
    const title = `Instance ${header.instance_id}, started ${zonedWords(header.start)} (${utcWords(header.start)})`;
    setAttribute(this.element, "title", title);
    const total = header.counts.reduce((sum, count) => sum + count, 0);
    this.drawProgress(header, total);
    this.drawCounts(header);
    this.drawMessage(header, now);
  }

  /** @param {Header} header @param {number} total */
  drawProgress(header, total) {
    const done = header.counts[COMPLETED], order = [COMPLETED, FAILED, ABANDONED, RUNNING];
    const key = JSON.stringify(header.counts);
    if (this.progress.dataset.key === key) return;
    this.progress.dataset.key = key;
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
    const key = JSON.stringify(header.counts);
    if (this.counts.dataset.key === key) return;
    this.counts.dataset.key = key;
    this.counts.hidden = !shown.length;
    this.counts.replaceChildren();
    for (const state of shown) {
      const one = make("span", "ipd-count", this.counts);
      icon(STATES[state], one);
      make("b", "", one, number(header.counts[state]));
      make("span", "ipd-dim", one, STATES[state]);
    }
  }

  /** @param {Header} header @param {number} now */
  drawMessage(header, now) {
    /** @type {[string, string][]} */
    const lines = [];
    if (header.message) lines.push([header.message.kind === "failed" ? "Failed" : "Suspended", header.message.text]);
    const waits = header.finished ? "" : counted(header.waiting.map((one) => waitingWords(one, now, header.start))).join(" and ");
    if (waits) lines.push(["Waits for", waits]);
    if (header.custom_status) lines.push(["Status", unquoted(header.custom_status)]);
    if (header.output && header.status !== "ContinuedAsNew") lines.push(["Output", header.output]);
    const key = JSON.stringify([lines, header.message]);
    if (key === this.shown) return;
    this.shown = key;
    this.message.hidden = !lines.length;
    this.message.replaceChildren();
    const since = header.waiting.filter((one) => (one.since ?? null) !== null);
    for (const [what, text] of lines) {
      const line = make("div", `ipd-line-${what.toLowerCase().replace(" ", "-")}`, this.message);
      if (what === "Waits for") line.title = since.map((one) => `since ${utcWords(header.start + Number(one.since))}`).join(", ");
      make("span", "ipd-what", line, what);
      make("span", "ipd-words", line, text);
    }
    if (header.message?.trace) this.message.append(traceback(header.message.trace));
  }
}

/** Each of the words once, with how often they were there. @param {string[]} words */
function counted(words) {
  return [...new Set(words)].map((one) => {
    const times = words.filter((other) => other === one).length;
    return times > 1 ? `${times} × ${one}` : one;
  });
}

/** Text as it was written, without the quotes of JSON. @param {string} json */
function unquoted(json) {
  try {
    const value = JSON.parse(json);
    return typeof value === "string" ? value : json;
  } catch {
    return json;
  }
}

/** @param {string} text @returns {HTMLElement} */
function traceback(text) {
  const details = make("details", "ipd-trace");
  make("summary", "", details, "Traceback");
  make("pre", "", details, text);
  return details;
}
