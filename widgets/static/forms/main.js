// @ts-check
// Forms by themselves, of one or several instances (see forms.py). State comes in the traits `forms`,
// `now` and `finished`; who answers asks for the command `answer`.

import { Commands } from "../shared/commands.js";
import { make } from "../shared/dom.js";
import { Forms } from "../shared/forms.js";
import { View } from "../shared/view.js";

/** @import { Model } from "../shared/model.js" */

const IDLE_FRAME_MS = 1000;

class FormsView extends View {
  /** @param {Model} model @param {HTMLElement} host */
  constructor(model, host) {
    super(model, host, "ipd-forms-view");
    this.commands = new Commands(model);
    this.forms = new Forms(this.root, this.commands, this.id);
    this.nothing = make("div", "ipd-dim", this.root, "No form is open.");
    this.follow("forms");
    this.follow("finished");
    this.follow("now", () => this.hear());
    this.hear();
    this.queue();
  }

  hear() {
    const now = this.model.get("now");
    if (now) this.measureClock(now);
  }

  destroy() {
    this.commands.close();
    super.destroy();
  }

  get isLive() {
    return !this.model.get("finished");
  }

  get rhythm() {
    return this.isLive ? IDLE_FRAME_MS : 0;
  }

  draw() {
    const forms = this.model.get("forms") ?? [];
    const can = !this.isCut && (this.model.get("commands") ?? []).includes("answer");
    this.forms.draw(forms, this.clock(), can, this.connection !== "");
    this.nothing.hidden = forms.length > 0;
  }
}

/** @param {{model: Model, el: HTMLElement}} context @returns {() => void} */
function render({ model, el }) {
  const view = new FormsView(model, el);
  return () => view.destroy();
}

export default { render };
