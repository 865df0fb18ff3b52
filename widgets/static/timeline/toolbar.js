// @ts-check
// The line of tools: what is searched for and hidden, what part of the time is seen, which
// generation, and what the state of the instance allows to be done.

import { Actions } from "../shared/actions.js";
import { icon, make, setText } from "../shared/dom.js";
import { COMPLETED } from "../shared/states.js";
import { number } from "../shared/words.js";

/** @import { Action } from "../shared/actions.js" */
/** @import { Commands } from "../shared/commands.js" */
/** @import { Header } from "./types.js" */

/** What may be done in which status. */
const ALLOWED = /** @type {Record<string, string[]>} */ ({
  Pending: ["terminate"],
  Running: ["raise_event", "suspend", "terminate"],
  Suspended: ["resume", "raise_event", "terminate"],
  Failed: ["rewind"],
});
const ACTIONS = /** @type {Record<string, Action>} */ ({
  raise_event: {
    command: "raise_event", label: "Raise event",
    fields: [{ name: "name", label: "Event", needs: true }, { name: "data", label: "Data (JSON)" }],
  },
  suspend: { command: "suspend", label: "Suspend" },
  resume: { command: "resume", label: "Resume" },
  terminate: {
    command: "terminate", label: "Terminate", confirm: "Terminate it", danger: true,
    question: "Ends it now, with its sub-orchestrations. What runs is stopped, and this cannot be undone.",
  },
  rewind: {
    command: "rewind", label: "Rewind", confirm: "Rewind it",
    question: "Takes it up again where it failed; the tasks that failed run again, what completed stays.",
  },
});

/**
 * @typedef {{search(text: string): void, hide(): boolean, zoom(factor: number): void, fit(): void,
 *   follow(): void, page(generation: number): void}} Tools
 */

export class Toolbar {
  /** @param {HTMLElement} root @param {Tools} tools @param {Commands} commands */
  constructor(root, tools, commands) {
    this.element = make("div", "ipd-tools", root);
    this.field = make("label", "ipd-search", this.element);
    icon("search", this.field);
    this.search = /** @type {HTMLInputElement} */ (make("input", "ipd-input", this.field));
    this.search.type = "search";
    this.search.placeholder = "Find";
    this.search.setAttribute("aria-label", "Find operations by name, input or failure");
    this.search.addEventListener("input", () => tools.search(this.search.value.trim().toLowerCase()));
    this.search.addEventListener("keydown", (event) => event.stopPropagation());
    this.hide = button(this.element, "Hide completed", () => this.hide.setAttribute("aria-pressed", String(tools.hide())));
    this.hide.setAttribute("aria-pressed", "false");
    this.zooms = make("span", "ipd-group", this.element);
    iconButton(this.zooms, "minus", "Zoom out (−)", () => tools.zoom(2));
    iconButton(this.zooms, "plus", "Zoom in (+); or drag over the time axis", () => tools.zoom(0.5));
    this.fit = iconButton(this.zooms, "fit", "Show all of it (0)", () => tools.fit());
    this.follow = iconButton(this.zooms, "follow", "Follow the present (f)", () => tools.follow());
    this.pager = make("span", "ipd-group ipd-pager", this.element);
    this.before = iconButton(this.pager, "back", "The generation before", () => tools.page(this.generation - 1));
    this.pages = make("span", "", this.pager);
    this.after = iconButton(this.pager, "open", "The next generation", () => tools.page(this.generation + 1));
    this.generation = 0;
    /** @type {string[]} what the state allows now */
    this.can = [];
    this.actions = new Actions(this.element, root, commands);
  }

  /** Ask for what an event carries. @param {string} name */
  raise(name) {
    if (this.can.includes("raise_event")) this.actions.ask(ACTIONS.raise_event, { name: [name] });
  }

  /** @param {Header} all @param {Header} shown @param {string[]} commands @param {boolean} zoomed @param {boolean} follows @param {number} rows */
  draw(all, shown, commands, zoomed, follows, rows) {
    const counts = shown.counts, total = counts.reduce((sum, count) => sum + count, 0);
    const hiding = this.hide.getAttribute("aria-pressed") === "true";
    this.field.hidden = rows < 4 && !this.search.value;
    this.hide.hidden = !rows || !hiding && (counts[COMPLETED] < 4 || counts[COMPLETED] === total);
    this.zooms.hidden = !rows;
    /** @type {HTMLButtonElement} */ (this.fit).disabled = !zoomed;
    this.follow.hidden = shown.finished;
    this.follow.setAttribute("aria-pressed", String(follows));
    const last = all.generation + 1;
    this.generation = shown.generation;
    this.pager.hidden = last === 1;
    this.before.hidden = this.after.hidden = !commands.includes("open");
    setText(this.pages, `generation ${number(shown.generation + 1)} of ${number(last)}`);
    /** @type {HTMLButtonElement} */ (this.before).disabled = shown.generation === 0;
    /** @type {HTMLButtonElement} */ (this.after).disabled = shown.generation + 1 >= last;
    const allowed = (ALLOWED[all.status] ?? []).filter((name) => commands.includes(name));
    this.can = allowed;
    this.actions.draw(allowed.map((name) => ACTIONS[name]), { name: all.awaited.map((one) => one.name) });
    this.element.hidden = [...this.element.children].every((node) => /** @type {HTMLElement} */ (node).hidden || !node.childElementCount);
  }
}

/** @param {Element} parent @param {string} label @param {() => void} press @returns {HTMLElement} */
function button(parent, label, press) {
  const node = make("button", "ipd-button", parent, label);
  node.setAttribute("type", "button");
  node.addEventListener("click", press);
  return node;
}

/** @param {Element} parent @param {string} name @param {string} label @param {() => void} press @returns {HTMLElement} */
function iconButton(parent, name, label, press) {
  const node = button(parent, "", press);
  node.classList.add("ipd-iconic");
  node.title = label;
  node.setAttribute("aria-label", label);
  icon(name, node);
  return node;
}
