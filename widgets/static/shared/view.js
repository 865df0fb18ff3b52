// @ts-check
// What every live view does: one drawing a frame, none while nobody sees it, the host's clock, and
// saying so when the kernel or the host is gone.

import { icon, make, setText } from "./dom.js";

/** @import { Model } from "./model.js" */

const DISCONNECTED = "jupyter-widgets-disconnected";

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
    /** @type {number | undefined} the host's time at which the connection was lost */
    this.stoppedAt = undefined;
    this.frame = 0;
    this.timer = 0;
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
    return this.isCut ? "The kernel of this view was restarted or has ended. What runs goes on." : "";
  }

  /** Whether something may still change, so that a lost connection is worth a word. @returns {boolean} */
  get isLive() {
    return true;
  }

  listen() {
    const resize = new ResizeObserver(() => this.queue());
    resize.observe(this.root);
    const sight = new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting;
      if (this.visible) this.queue();
    });
    sight.observe(this.root);
    this.undo.push(() => resize.disconnect(), () => sight.disconnect());
    this.isCut = this.host.closest(`.${DISCONNECTED}`) !== null;
    this.on("comm_live_update", () => this.noteCut());
    this.follow("connection", () => this.noteConnection());
    this.noteConnection();
  }

  /** Jupyter's widget manager tells that the kernel is gone, or back. */
  noteCut() {
    // It marks the view in the same moment, before or after it tells.
    queueMicrotask(() => {
      this.isCut = this.host.closest(`.${DISCONNECTED}`) !== null;
      this.noteConnection();
      this.queue();
    });
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
      make("span", "", this.notice);
      this.root.prepend(this.notice);
    }
    this.notice.hidden = !words;
    setText(/** @type {Element} */ (this.notice.lastElementChild), words);
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    for (const undo of this.undo) undo();
    this.root.remove();
  }
}
