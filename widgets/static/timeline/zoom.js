// @ts-check
// Which part of the time axis is looked at: all of it, a window, or the last stretch of a run.

import { make } from "../shared/dom.js";

/** @import { TimeScale } from "./scale.js" */

const LEAST_MS = 5;
const DRAG_PX = 4;
const FOLLOWED_SHARE = 0.25;
const FOLLOWED_LEAST_MS = 10_000;

export class Zoom {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {[number, number] | null} the window in milliseconds; null for the whole */
    this.window = null;
    this.follows = false;
  }

  /** Look at all of it. */
  fit() {
    this.window = null;
    this.follows = false;
    this.changed();
  }

  /** @param {number} t0 @param {number} t1 @param {number} end */
  look(t0, t1, end) {
    const span = Math.min(end, Math.max(LEAST_MS, t1 - t0));
    const from = Math.max(0, Math.min(t0, end - span));
    this.window = span >= end * 0.995 ? null : [from, from + span];
    this.follows = this.follows && this.window !== null && from + span >= end * 0.995;
    this.changed();
  }

  /** Look closer, or from further away. @param {number} factor of the span @param {number} at what stays in place @param {number} end */
  by(factor, at, end) {
    const [t0, t1] = this.window ?? [0, end];
    this.look(at - (at - t0) * factor, at + (t1 - at) * factor, end);
  }

  /** @param {number} share of the window @param {number} end */
  pan(share, end) {
    if (!this.window) return;
    const [t0, t1] = this.window, by = (t1 - t0) * share;
    const from = Math.max(0, Math.min(t0 + by, end - (t1 - t0)));
    this.follows = false;
    this.window = [from, from + t1 - t0];
    this.changed();
  }

  /** Keep the present in sight, or stop that. @param {number} now */
  toggleFollow(now) {
    if (this.follows) return this.fit();
    const span = this.window ? this.window[1] - this.window[0] : Math.max(FOLLOWED_LEAST_MS, now * FOLLOWED_SHARE);
    this.follows = true;
    this.window = [Math.max(0, now - span), now];
    this.changed();
  }

  /** Move on with the time. @param {number} now @returns {[number, number] | null} */
  at(now) {
    if (this.window && this.follows) {
      const span = this.window[1] - this.window[0];
      if (now > this.window[1]) this.window = [now - span, now];
    }
    return this.window;
  }
}

/**
 * Let a person draw out a stretch of time on an element.
 * @param {HTMLElement} element where
 * @param {HTMLElement} root what the mark is drawn in
 * @param {() => {scale: TimeScale, left: number}} place the axis, and where in the page it begins
 * @param {(t0: number, t1: number) => void} look
 */
export function brush(element, root, place, look) {
  element.addEventListener("pointerdown", (event) => {
    const { scale, left } = place(), from = event.clientX - left;
    if (event.button !== 0 || from < 0 || from > scale.width) return;
    /** @type {HTMLElement | null} */
    let mark = null;
    let to = from;
    /** @param {PointerEvent} moved */
    const move = (moved) => {
      to = Math.min(scale.width, Math.max(0, moved.clientX - left));
      if (!mark && Math.abs(to - from) < DRAG_PX) return;
      mark ??= make("div", "ipd-brush", root);
      const box = root.getBoundingClientRect();
      mark.style.left = `${left - box.left + Math.min(from, to)}px`;
      mark.style.width = `${Math.abs(to - from)}px`;
      moved.preventDefault();
    };
    const end = () => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
      if (!mark) return;
      mark.remove();
      // The click that ends a drag is none.
      /** @param {Event} click */
      const swallow = (click) => click.stopPropagation();
      window.addEventListener("click", swallow, true);
      setTimeout(() => window.removeEventListener("click", swallow, true));
      look(scale.at(Math.min(from, to)), scale.at(Math.max(from, to)));
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
  });
}
