// @ts-check
// What every live view does: one drawing a frame, none while nobody sees it, the host's clock, and
// saying so when the kernel or the host is gone.

import { icon, make, setText } from "./dom.js";

/** @import { Model } from "./model.js" */

const ATTACHED = "ipd-attached";
const GONE = new Set(["dead", "terminating"]);
/** What is pressed keeps its place for so long at most, until it is let go. */
const HELD_MS = 1000;
const PRESSED = "button, input, select, textarea, label, summary, a";

/**
 * Base of the live views. A subclass builds its nodes under `root`, names the traits that it draws
 * with `follow`, and draws them in `draw`.
 */
export class View {
  /**
   * @param {Model} model
   * @param {HTMLElement} host where anywidget wants it
   * @param {string} name class of the root, besides `ipd-view`
   */
  constructor(model, host, name) {
    this.model = model;
    this.host = host;
    /** Several views of one thing may be on a page; their nodes need ids of their own. */
    this.id = `ipd${Math.random().toString(36).slice(2)}`;
    this.root = make("div", `ipd-view ${name}`, host);
    this.visible = true;
    /** Milliseconds to add to the browser's clock to get the host's. */
    this.skew = 0;
    this.measured = false;
    /** Whether the kernel of this view is gone. */
    this.isCut = false;
    this.isSuperseded = false;
    /** @type {number | undefined} the host's time at which the connection was lost */
    this.stoppedAt = undefined;
    this.frame = 0;
    this.timer = 0;
    /** Until when nothing is drawn, as something is pressed. */
    this.heldUntil = 0;
    /** @type {(() => void)[]} */
    this.undo = [];
    this.listen();
  }

  /** Bring the nodes up to date. Called once a frame at most, and only while it can be seen. */
  draw() {}

  /** @returns {number} after how many milliseconds to draw again by itself; 0 for never */
  get rhythm() {
    return 0;
  }

  /**
   * Draw when a trait changes.
   * @param {string} trait
   * @param {() => void} [before] called at once, to take note of what changed
   */
  follow(trait, before) {
    this.on(`change:${trait}`, () => {
      before?.();
      this.queue();
    });
  }

  /** Listen to the model until the view is destroyed. @param {string} event @param {(...args: any[]) => void} handler */
  on(event, handler) {
    this.model.on(event, handler);
    this.undo.push(() => this.model.off(event, handler));
  }

  /** Draw soon. */
  queue() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      clearTimeout(this.timer);
      if (!this.visible || !this.root.clientWidth) return;
      const begun = performance.now();
      if (begun < this.heldUntil) {
        this.timer = window.setTimeout(() => this.queue(), this.heldUntil - begun);
        return;
      }
      if (!this.isCut && this.kernelIsGone) {
        this.isCut = true;
        this.noteConnection();
      }
      this.draw();
      this.drawConnection();
      this.root.dataset.drawMs = (performance.now() - begun).toFixed(2);
      const rhythm = this.connection ? 0 : this.rhythm;
      if (rhythm) this.timer = window.setTimeout(() => this.queue(), rhythm);
    });
  }

  /**
   * Learn the host's time from a message that just arrived; the least delayed one tells it best.
   * @param {number} at the host's time in milliseconds since 1970
   */
  measureClock(at) {
    const skew = at - Date.now();
    this.skew = this.measured ? Math.max(this.skew, skew) : skew;
    this.measured = true;
  }

  /** @returns {number} the host's time in milliseconds since 1970; it stands still without a connection */
  clock() {
    return this.stoppedAt ?? Date.now() + this.skew;
  }

  /** Why nothing new arrives any more, in words; empty while all is well. @returns {string} */
  get connection() {
    const words = this.model.get("connection") ?? "";
    if (words) return words;
    if (this.isSuperseded) return "This view belongs to an earlier kernel. It is shown again in another cell.";
    return this.isCut ? "The kernel of this view was restarted or has ended; what runs goes on. Show it again with" : "";
  }

  /** Whether something may still change, so that a lost connection is worth a word. @returns {boolean} */
  get isLive() {
    return true;
  }

  /** A click is lost where what was pressed moves away, or is disabled, before it is let go. */
  holdStill() {
    this.root.addEventListener("pointerdown", (event) => {
      if (event.target instanceof Element && event.target.closest(PRESSED)) this.heldUntil = performance.now() + HELD_MS;
    }, true);
    const release = () => {
      if (!this.heldUntil) return;
      this.heldUntil = 0;
      this.queue();
    };
    for (const name of ["pointerup", "pointercancel"]) {
      document.addEventListener(name, release, true);
      this.undo.push(() => document.removeEventListener(name, release, true));
    }
  }

  listen() {
    this.holdStill();
    const resize = new ResizeObserver(() => this.queue());
    resize.observe(this.root);
    const sight = new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting;
      if (this.visible) this.queue();
    });
    sight.observe(this.root);
    this.undo.push(() => resize.disconnect(), () => sight.disconnect());
    this.on("comm_live_update", () => void this.noteCut());
    this.follow("connection", () => this.noteConnection());
    this.noteConnection();
    this.giveWay();
  }

  /** Jupyter's widget manager tells that the kernel of this view is gone, or back. */
  async noteCut() {
    const model = await this.model.widget_manager?.get_model?.(this.model.get("key")).catch(() => undefined);
    this.isCut = model?.comm_live !== true;
    this.noteConnection();
    this.queue();
  }

  /** The kernel may also end without a word. */
  get kernelIsGone() {
    const manager = this.model.widget_manager;
    if (!manager || !("kernel" in manager)) return false;
    return !manager.kernel || GONE.has(manager.kernel.status ?? "");
  }

  /** A view whose kernel is gone steps back when the same thing is shown by a living one. */
  giveWay() {
    const again = this.model.get("again");
    if (!again) return;
    /** @param {Event} event */
    const heard = (event) => {
      if (!(event instanceof CustomEvent) || event.detail !== again || !this.isCut) return;
      this.isSuperseded = true;
      this.root.classList.add("ipd-superseded");
      this.queue();
    };
    document.addEventListener(ATTACHED, heard);
    this.undo.push(() => document.removeEventListener(ATTACHED, heard));
    if (!this.isCut) document.dispatchEvent(new CustomEvent(ATTACHED, { detail: again }));
  }

  noteConnection() {
    if (!this.connection) this.stoppedAt = undefined;
    else this.stoppedAt ??= Date.now() + this.skew;
  }

  drawConnection() {
    const words = this.isLive ? this.connection : "";
    this.root.classList.toggle("ipd-cut-off", words !== "");
    if (!words && !this.notice) return;
    if (!this.notice) {
      this.notice = make("div", "ipd-notice");
      this.notice.setAttribute("role", "status");
      icon("cut", this.notice);
      const line = make("div", "", this.notice);
      make("span", "", line);
      line.append(" ");
      make("code", "", line);
      this.root.prepend(this.notice);
    }
    this.notice.hidden = !words;
    const [said, code] = this.notice.children[1].children;
    setText(said, words);
    setText(code, this.isCut && !this.isSuperseded ? this.model.get("again") ?? "" : "");
    /** @type {HTMLElement} */ (code).hidden = !code.textContent;
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    for (const undo of this.undo) undo();
    this.root.remove();
  }
}
