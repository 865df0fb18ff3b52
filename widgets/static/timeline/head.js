// @ts-check
// What stands above the rows.

import { icon, make, setIcon, setText, syncChildren } from "../shared/dom.js";
import { ABANDONED, COMPLETED, COUNT_ORDER, FAILED, RUNNING, STATES, STATUS_STATE } from "../shared/states.js";
import { clockWords, durationWords, number } from "../shared/words.js";
import { waitingWords } from "./words.js";

/** @import { Header } from "./types.js" */

/** What stands above the rows. */
export class Head {
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
