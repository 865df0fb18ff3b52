// @ts-check
// The whole run as a strip, with the part that is looked at as a window that can be moved.

import { SVG, make } from "../shared/dom.js";
import { TimeScale, density } from "./scale.js";

/** @import { Row } from "./types.js" */

const HEIGHT = 22;
const BIN_PX = 4;
const EDGE_PX = 7;

export class Overview {
  /**
   * @param {HTMLElement} parent
   * @param {(t0: number, t1: number) => void} look called with a new window in milliseconds
   */
  constructor(parent, look) {
    this.look = look;
    this.element = make("div", "ipd-overview", parent);
    this.element.hidden = true;
    this.element.setAttribute("aria-hidden", "true");
    this.svg = document.createElementNS(SVG, "svg");
    this.path = document.createElementNS(SVG, "path");
    this.svg.append(this.path);
    this.element.append(this.svg);
    this.window = make("div", "ipd-window", this.element);
    this.scale = new TimeScale([], 1, 1);
    this.drawn = "";
    this.element.addEventListener("pointerdown", (event) => this.drag(event));
  }

  /** @param {Row[]} rows @param {TimeScale} scale of the whole @param {number} now @param {[number, number] | null} window */
  draw(rows, scale, now, window) {
    this.element.hidden = !window;
    if (!window) return;
    this.scale = scale;
    const key = `${rows.length} ${Math.round(scale.width)} ${Math.round(now / 1000)}`;
    if (key !== this.drawn) {
      this.drawn = key;
      const bins = Math.max(1, Math.floor(scale.width / BIN_PX));
      const { completed, failed, running, top } = density(rows, scale, bins, now);
      this.svg.setAttribute("width", `${scale.width}`);
      this.svg.setAttribute("height", `${HEIGHT}`);
      let d = "";
      for (let n = 0; n < bins; n++) {
        const all = completed[n] + failed[n] + running[n];
        if (all <= 1e-6) continue;
        const high = Math.max(1, (all / (top || 1)) * (HEIGHT - 2));
        d += `M${n * BIN_PX} ${HEIGHT}v${(-high).toFixed(1)}h${BIN_PX}v${high.toFixed(1)}z`;
      }
      this.path.setAttribute("d", d);
    }
    const x0 = scale.x(window[0]), x1 = scale.x(window[1]);
    this.window.style.left = `${x0.toFixed(1)}px`;
    this.window.style.width = `${Math.max(4, x1 - x0).toFixed(1)}px`;
    this.seen = { x0, x1 };
  }

  /** Move the window, or one of its edges. @param {PointerEvent} event */
  drag(event) {
    if (!this.seen) return;
    const box = this.element.getBoundingClientRect(), { x0, x1 } = this.seen;
    const at = event.clientX - box.left;
    const left = Math.abs(at - x0) < EDGE_PX, right = !left && Math.abs(at - x1) < EDGE_PX;
    const inside = at > x0 && at < x1;
    const middle = inside || left || right ? 0 : at - (x0 + x1) / 2;
    /** @param {PointerEvent} moved */
    const move = (moved) => {
      const by = moved.clientX - event.clientX + middle;
      const a = right ? x0 : x0 + by, b = left ? x1 : x1 + by;
      if (b - a >= 4) this.look(this.scale.at(Math.max(0, a)), this.scale.at(Math.min(this.scale.width, b)));
    };
    this.element.setPointerCapture(event.pointerId);
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("pointerup", () => this.element.removeEventListener("pointermove", move), { once: true });
    move(event);
    event.preventDefault();
  }
}
