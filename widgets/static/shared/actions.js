// @ts-check
// Buttons that have the kernel do something: what destroys asks first, what needs words gets a
// form, and each says how it went.

import { icon, make } from "./dom.js";

/** @import { Commands } from "./commands.js" */

/**
 * @typedef {{name: string, label: string, needs?: boolean}} Field what a form asks for
 * @typedef {{command: string, label: string, question?: string, confirm?: string,
 *   danger?: boolean, fields?: Field[]}} Action
 */

/** A row of buttons; under it, while one of them asks, its question. */
export class Actions {
  /** @param {HTMLElement} bar where the buttons are @param {HTMLElement} below where questions are @param {Commands} commands */
  constructor(bar, below, commands) {
    this.commands = commands;
    this.bar = make("span", "ipd-actions", bar);
    this.panel = make("form", "ipd-ask", below);
    this.panel.hidden = true;
    this.words = make("div", "ipd-told", below);
    this.words.setAttribute("role", "status");
    this.words.hidden = true;
    this.shown = "";
    /** @type {Record<string, string[]>} */
    this.choices = {};
    /** @type {Action | undefined} */
    this.asking = undefined;
    /** @type {(() => void) | undefined} */
    this.submit = undefined;
    this.panel.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit?.();
    });
    this.panel.addEventListener("keydown", (event) => {
      // Lab has uses of its own for most keys.
      event.stopPropagation();
      if (event.key === "Escape") this.fold();
    });
  }

  /** Show these buttons. @param {Action[]} actions @param {Record<string, string[]>} [choices] suggestions by field */
  draw(actions, choices = {}) {
    this.choices = choices;
    const key = JSON.stringify(actions);
    if (key === this.shown) return;
    this.shown = key;
    if (this.asking && !actions.some((one) => one.command === this.asking?.command)) this.fold();
    this.bar.replaceChildren(...actions.map((action) => {
      const asks = action.question || action.fields;
      const button = make("button", `ipd-button${action.danger ? " ipd-danger" : ""}`, null, action.label + (asks ? " …" : ""));
      button.setAttribute("type", "button");
      button.addEventListener("click", () => {
        if (!asks) this.carryOut(action, {});
        else if (this.asking?.command === action.command) this.fold();
        else this.ask(action);
      });
      return button;
    }));
  }

  /** Ask for what an action needs. @param {Action} action @param {Record<string, string[]>} [choices] instead of those drawn with */
  ask(action, choices = this.choices) {
    this.asking = action;
    this.say("");
    this.panel.replaceChildren();
    this.panel.hidden = false;
    if (action.question) make("span", "ipd-question", this.panel, action.question);
    /** @type {Record<string, HTMLInputElement>} */
    const inputs = {};
    for (const field of action.fields ?? []) {
      const label = make("label", "ipd-field", this.panel, field.label);
      const input = /** @type {HTMLInputElement} */ (make("input", "ipd-input", label));
      const known = choices?.[field.name] ?? [];
      if (known.length) input.value = known[0];
      input.required = field.needs ?? false;
      inputs[field.name] = input;
    }
    const yes = make("button", `ipd-button ${action.danger ? "ipd-danger ipd-solid" : "ipd-solid"}`, this.panel, action.confirm ?? action.label);
    yes.setAttribute("type", "submit");
    const no = make("button", "ipd-button", this.panel, "Cancel");
    no.setAttribute("type", "button");
    no.addEventListener("click", () => this.fold());
    this.submit = () => {
      const args = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value]));
      this.carryOut(action, args);
    };
    const empty = Object.values(inputs).find((input) => !input.value);
    // What destroys is not what Enter does by accident.
    (empty ?? (action.danger ? no : yes)).focus();
  }

  fold() {
    this.asking = undefined;
    this.panel.hidden = true;
    this.panel.replaceChildren();
  }

  /** @param {Action} action @param {object} args */
  carryOut(action, args) {
    /** @param {boolean} held */
    const hold = (held) => {
      for (const node of [...this.bar.children, ...this.panel.querySelectorAll("button")]) {
        /** @type {HTMLButtonElement} */ (node).disabled = held;
      }
    };
    hold(true);
    this.say("");
    this.commands
      .ask(action.command, args, () => this.say(`${action.label}: the kernel is busy; it is done as soon as it is free.`))
      .then(() => {
        this.fold();
        this.say("");
      }, (error) => this.say(`${action.label}: ${error.message}`, true))
      .finally(() => hold(false));
  }

  /** @param {string} words @param {boolean} [failed] */
  say(words, failed = false) {
    this.words.hidden = !words;
    this.words.replaceChildren();
    if (!words) return;
    icon(failed ? "failed" : "waiting", this.words);
    make("span", "", this.words, words);
  }
}
