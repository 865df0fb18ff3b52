// @ts-check
// The choice between rows and graph: both show the same instance in the same place. What somebody
// chose last is how this browser shows the next one.

import { make } from "../shared/dom.js";
import { GraphView } from "../graph/view.js";

/** @import { Commands } from "../shared/commands.js" */
/** @import { Forms } from "../shared/forms.js" */
/** @import { Model } from "../shared/model.js" */

const REMEMBERED = "ipydurable.view";
const GRAPH = "graph";

export class Switch {
  /**
   * @param {Model} model @param {Commands} commands
   * @param {HTMLElement} bar where the choice stands
   * @param {HTMLElement} root what the graph is shown in
   * @param {Forms} forms where people answer
   * @param {() => void} changed
   */
  constructor(model, commands, bar, root, forms, changed) {
    this.forms = forms;
    this.model = model;
    this.commands = commands;
    this.changed = changed;
    this.element = make("span", "ipd-group ipd-switch");
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", "Show as");
    bar.prepend(this.element);
    this.rows = this.button("Timeline", () => this.choose(false));
    this.graph = this.button("Graph", () => this.choose(true));
    this.host = make("div", "ipd-graph-host", root);
    /** @type {GraphView | null} */
    this.view = null;
    /** Whether the graph is shown, or asked for. */
    this.isGraph = remembered() === GRAPH;
    this.isAsked = false;
  }

  /** @param {string} label @param {() => void} press */
  button(label, press) {
    const node = /** @type {HTMLButtonElement} */ (make("button", "ipd-button", this.element, label));
    node.type = "button";
    node.addEventListener("click", press);
    return node;
  }

  /** @param {boolean} isGraph */
  choose(isGraph) {
    if (isGraph === this.isGraph) return;
    this.isGraph = isGraph;
    remember(isGraph ? GRAPH : "");
    if (isGraph) this.ask();
    else this.commands.ask("look", { graph: false }).catch(() => {});
    this.changed();
  }

  /** Have the kernel make the graph, and show it. */
  async ask() {
    this.isAsked = true;
    try {
      const id = await this.commands.ask("look", { graph: true });
      const model = await this.model.widget_manager?.get_model?.(id);
      if (!model) throw new Error("There is no such graph.");
      this.view ??= new GraphView(/** @type {Model} */ (model), this.host, this.forms);
    } catch {
      this.isGraph = false;
    }
    this.changed();
  }

  /**
   * @param {boolean} isAble whether the kernel is there to be asked
   * @param {boolean} isPast whether an earlier execution is looked at, of which there are rows only
   * @returns {boolean} whether the graph is shown instead of the rows
   */
  draw(isAble, isPast) {
    if (isAble && this.isGraph && !this.isAsked) this.ask();
    const shows = this.isGraph && this.view !== null && !isPast;
    this.element.hidden = isPast || (!isAble && this.view === null);
    this.rows.disabled = this.graph.disabled = !isAble;
    this.rows.setAttribute("aria-pressed", `${!shows}`);
    this.graph.setAttribute("aria-pressed", `${shows}`);
    this.host.hidden = !shows;
    return shows;
  }

  destroy() {
    this.view?.destroy();
  }
}

/** @returns {string} what was chosen last; some pages may not keep anything */
function remembered() {
  try {
    return localStorage.getItem(REMEMBERED) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} choice */
function remember(choice) {
  try {
    localStorage.setItem(REMEMBERED, choice);
  } catch {
    // The choice then holds for this view only.
  }
}
