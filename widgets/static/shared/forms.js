// @ts-check
// Forms that an instance asks people to fill in: one that is open is filled in here, one that is
// closed says what was answered. What is typed stays while the form stays, whatever else is drawn.

import { input, problemOf } from "./fields.js";
import { icon, make, setText } from "./dom.js";
import { durationWords, utcWords, zonedWords } from "./words.js";

/** @import { Commands } from "./commands.js" */
/** @import { Field, Input } from "./fields.js" */

/**
 * @typedef {{fields: Field[], title?: string, text?: string, submit?: string, made_of?: string}} Asked
 * @typedef {{id: string, name: string, form: Asked, state: string, since: number,
 *   until: number | null, closed: number | null, answer: [label: string, text: string][],
 *   by: string, instance?: string}} Form
 */

/** The icon of what became of a form. */
const ICON = /** @type {Record<string, string>} */ ({
  open: "question", answered: "completed", expired: "waiting", withdrawn: "abandoned", ended: "abandoned",
});
const OUTCOMES = /** @type {Record<string, string>} */ ({
  answered: "answered", expired: "expired: nobody answered in time",
  withdrawn: "withdrawn: the code does not wait for it any more",
  ended: "not answered before the instance ended",
});
/** As many choices are buttons; more are a list. */
const BUTTONS = 6;
const CLOSED_SHOWN = 3;

/** What tells a form from all others, also of other instances. @param {Form} form */
const keyOf = (form) => `${form.instance ?? ""} ${form.id}`;

/** All forms of an instance, one below the other. */
export class Forms {
  /**
   * @param {HTMLElement} root @param {Commands} commands @param {string} id unique on the page
   * @param {string} [command] which answers a form
   */
  constructor(root, commands, id, command = "answer") {
    this.element = make("section", "ipd-forms", root);
    this.element.setAttribute("aria-label", "Forms");
    this.commands = commands;
    this.command = command;
    this.id = id;
    /** @type {Map<string, FormNode>} by `keyOf` */
    this.nodes = new Map();
    this.count = 0;
    this.all = false;
    this.earlier = make("button", "ipd-button ipd-earlier", this.element);
    this.earlier.setAttribute("type", "button");
    this.earlier.addEventListener("click", () => {
      this.all = true;
      this.draw(this.shown, this.now, this.can, this.isWaiting);
    });
    /** @type {Form[]} */
    this.shown = [];
    this.now = 0;
    this.can = this.isWaiting = false;
  }

  /**
   * @param {Form[]} forms @param {number} now the host's time
   * @param {boolean} can whether anybody would take an answer
   * @param {boolean} isWaiting whether it has to wait for another host
   */
  draw(forms, now, can, isWaiting) {
    this.isWaiting = isWaiting;
    this.shown = forms;
    this.now = now;
    this.can = can;
    const closed = forms.filter((one) => one.state !== "open");
    const hidden = new Set(this.all ? [] : closed.slice(0, -CLOSED_SHOWN).map(keyOf));
    const known = new Set(forms.map(keyOf));
    for (const [key, node] of this.nodes) {
      if (known.has(key)) continue;
      node.element.remove();
      this.nodes.delete(key);
    }
    this.element.hidden = !forms.length;
    this.earlier.hidden = !hidden.size;
    setText(this.earlier, `${hidden.size} earlier`);
    for (const form of forms) {
      let node = this.nodes.get(keyOf(form));
      if (!node) {
        node = new FormNode(this, `${this.id}-f${++this.count}`);
        this.nodes.set(keyOf(form), node);
        this.element.append(node.element);
      }
      node.element.hidden = hidden.has(keyOf(form));
      node.draw(form, now, can);
    }
  }

  /** Put the cursor into the form of an event. @param {string} name @returns {boolean} whether there is one */
  focus(name) {
    const form = this.shown.find((one) => one.state === "open" && one.name.toLowerCase() === name.toLowerCase());
    const first = form && this.can ? this.nodes.get(keyOf(form))?.element.querySelector("input, select, textarea, button") : null;
    if (!(first instanceof HTMLElement)) return false;
    first.scrollIntoView({ block: "nearest" });
    first.focus();
    return true;
  }
}

class FormNode {
  /** @param {Forms} forms @param {string} id */
  constructor(forms, id) {
    this.forms = forms;
    this.id = id;
    this.element = make("article", "ipd-form");
    this.element.setAttribute("aria-labelledby", `${id}-title`);
    this.element.tabIndex = -1;
    const head = make("div", "ipd-form-head", this.element);
    this.icon = make("span", "ipd-form-icon", head);
    this.title = make("span", "ipd-form-title", head);
    this.title.id = `${id}-title`;
    this.when = make("span", "ipd-dim ipd-form-when", head);
    this.text = make("div", "ipd-form-text", this.element);
    this.body = make("div", "ipd-form-body", this.element);
    this.said = make("div", "ipd-told ipd-form-said", this.element);
    this.said.setAttribute("role", "status");
    this.said.hidden = true;
    this.shown = this.asked = "";
    this.isSending = false;
    /** Whether nobody has said yet what came of it. */
    this.isAsking = false;
    /** Whether what is said is that fields need a look. */
    this.isComplaining = false;
    /** @type {HTMLFieldSetElement | undefined} what is filled in; it outlives a closing */
    this.fieldset = undefined;
    /** @type {Input[]} */
    this.inputs = [];
    this.element.addEventListener("keydown", (event) => {
      // Lab has uses of its own for most keys.
      event.stopPropagation();
    });
  }

  /** @param {Form} form @param {number} now @param {boolean} can */
  draw(form, now, can) {
    this.drawWhen(form, now);
    if (this.fieldset) this.fieldset.disabled = !can || this.isSending;
    if (this.isAsking && !can) {
      this.isAsking = false;
      this.say("The kernel ended before it said whether this was taken. Show it again to see.", true);
    }
    const key = JSON.stringify(form);
    if (key === this.shown) return;
    const wasOpen = this.element.dataset.state === "open", hadFocus = this.element.contains(document.activeElement);
    this.shown = key;
    this.element.dataset.state = form.state;
    this.icon.replaceChildren();
    icon(ICON[form.state] ?? "abandoned", this.icon);
    setText(this.title, form.form.title || form.name);
    setText(this.text, form.form.text ?? "");
    this.text.hidden = form.state !== "open" || !form.form.text;
    if (form.state === "open") this.drawOpen(form, can);
    else this.drawClosed(form);
    if (wasOpen && form.state !== "open") {
      this.say("");
      // Who was about to answer is not left at the top of the page.
      if (hadFocus) this.element.focus({ preventScroll: true });
    }
  }

  /** @param {Form} form @param {number} now */
  drawWhen(form, now) {
    const of = form.instance ? `${form.instance} · ` : "";
    if (form.state !== "open") {
      const by = form.state === "answered" && form.by ? ` by ${form.by}` : "";
      setText(this.when, `${of}${OUTCOMES[form.state] ?? form.state}${by}${form.closed === null ? "" : `, ${zonedWords(form.closed)}`}`);
      this.when.title = form.closed === null ? "" : utcWords(form.closed);
      return;
    }
    const left = form.until === null ? "" : now < form.until ? `, expires in ${leftWords(form.until - now)}` : ", expires now";
    setText(this.when, `${of}waiting since ${zonedWords(form.since)}${left}`);
    this.when.title = `since ${utcWords(form.since)}${form.until === null ? "" : `, until ${utcWords(form.until)}`}`;
  }

  /** @param {Form} form */
  drawClosed(form) {
    this.body.replaceChildren();
    // No list of definitions: JupyterLab gives these a look of its own, in which they overlap.
    const list = make("div", "ipd-form-answer", form.answer.length ? this.body : null);
    for (const [label, text] of form.answer) {
      const pair = make("div", "", list);
      if (label) make("span", "ipd-dim", pair, label);
      make("span", label ? "ipd-form-value" : "ipd-form-value ipd-strong", pair, text || "—");
    }
  }

  /** @param {Form} form @param {boolean} can */
  drawOpen(form, can) {
    const asked = JSON.stringify(form.form);
    if (!this.fieldset || asked !== this.asked) {
      this.asked = asked;
      this.fieldset = this.make(form);
    }
    this.isSending = false;
    this.fieldset.disabled = !can;
    this.body.replaceChildren(/** @type {Element} */ (this.fieldset.parentElement));
  }

  /** @param {Form} form @returns {HTMLFieldSetElement} */
  make(form) {
    const whole = /** @type {HTMLFormElement} */ (make("form", "ipd-form-fields"));
    whole.noValidate = true;
    const fieldset = /** @type {HTMLFieldSetElement} */ (make("fieldset", "", whole));
    fieldset.setAttribute("aria-labelledby", `${this.id}-title`);
    const [only] = form.form.fields;
    if (!only.name && (only.choices ?? []).length <= BUTTONS) {
      this.inputs = [];
      const row = make("div", "ipd-form-choices", fieldset);
      for (const choice of only.choices ?? []) {
        const button = make("button", "ipd-button ipd-choice", row, choice.label || String(choice.value));
        button.setAttribute("type", "button");
        button.addEventListener("click", () => this.send(form, choice.value));
      }
      return fieldset;
    }
    const grid = make("div", "ipd-form-grid", fieldset);
    this.inputs = form.form.fields.map((field, n) => input(field, grid, `${this.id}-${n}`));
    const row = make("div", "ipd-form-buttons", fieldset);
    const submit = make("button", "ipd-button ipd-solid", row, form.form.submit || "Submit");
    submit.setAttribute("type", "submit");
    grid.addEventListener("input", () => {
      if (this.isComplaining && !this.inputs.some((one) => one.problem)) this.say("");
    });
    whole.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(form);
    });
    return fieldset;
  }

  /** @param {Form} form */
  submit(form) {
    const wrong = this.inputs.filter((one) => {
      one.complain(problemOf(one.field, one.read(), one.isBad()));
      return one.problem;
    });
    if (wrong.length) {
      this.complain(wrong.length);
      wrong[0].focus();
      return;
    }
    const values = Object.fromEntries(this.inputs.map((one) => [one.field.name, one.read()]));
    this.send(form, form.form.fields[0].name ? values : values[""]);
  }

  /** @param {Form} form @param {unknown} values */
  send(form, values) {
    if (this.isSending) return;
    this.hold(true);
    this.isAsking = true;
    this.say("");
    this.forms.commands
      .ask(this.forms.command, { form_id: form.id, values, ...(form.instance ? { instance_id: form.instance } : {}) },
        () => this.say(this.forms.isWaiting ? "Sent. It is raised as soon as there is a host again."
          : "Sent. The kernel is busy; it is raised as soon as it is free."))
      .finally(() => (this.isAsking = false))
      .then((problems) => {
        // The form closes when the instance has taken the answer.
        if (!problems || !Object.keys(problems).length) return this.say(this.isOpen ? "Sent." : "");
        this.hold(false);
        this.tell(problems);
      }, (error) => {
        this.hold(false);
        if (this.isOpen) this.say(error.message, true);
      });
  }

  get isOpen() {
    return this.element.dataset.state === "open";
  }

  /** @param {boolean} held */
  hold(held) {
    this.isSending = held;
    if (this.fieldset) this.fieldset.disabled = held || !this.forms.can;
  }

  /** Show what the host found wrong. @param {Record<string, string>} problems by field */
  tell(problems) {
    const rest = [];
    for (const [name, problem] of Object.entries(problems)) {
      const one = this.inputs.find((each) => each.field.name === name);
      if (one) one.complain(problem);
      else rest.push(name ? `${name}: ${problem}` : problem);
    }
    if (rest.length) this.say(rest.join("; "), true);
    else this.complain(Object.keys(problems).length);
    this.inputs.find((one) => one.problem)?.focus();
  }

  /** @param {number} count of fields */
  complain(count) {
    this.say(count > 1 ? `${count} fields need a look` : "One field needs a look", true);
    this.isComplaining = true;
  }

  /** @param {string} words @param {boolean} [failed] */
  say(words, failed = false) {
    this.isComplaining = false;
    this.said.hidden = !words;
    this.said.replaceChildren();
    if (!words) return;
    icon(failed ? "failed" : "waiting", this.said);
    make("span", "", this.said, words);
  }
}

/** Time left in one unit: what is days away does not tick. @param {number} ms */
function leftWords(ms) {
  return ms < 60_000 ? `${Math.ceil(ms / 1000)} s` : durationWords(Math.floor(ms / 60_000) * 60_000, true);
}
