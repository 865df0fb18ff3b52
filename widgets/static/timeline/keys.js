// @ts-check
// The keyboard: a tree as WAI-ARIA describes it, and a few keys for the time axis.

import { ROW_PX } from "./list.js";

/** @import { TimelineView } from "./view.js" */

/** @param {TimelineView} view @param {KeyboardEvent} event */
export function handleKey(view, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (!move(view, event) && !axis(view, event) && !act(view, event)) return;
  // Lab and the page have uses of their own for these keys.
  event.preventDefault();
  event.stopPropagation();
  view.change(() => {});
}

/** @param {TimelineView} view @param {KeyboardEvent} event @returns {boolean} */
function move(view, event) {
  const { items } = view.list, last = items.length - 1;
  const at = items.findIndex((item) => item.key === view.active);
  const page = Math.max(1, Math.floor(view.body.clientHeight / ROW_PX) - 1);
  /** @type {Record<string, number>} */
  const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, PageDown: at + page, PageUp: at - page };
  if (event.shiftKey || !(event.key in steps)) return false;
  view.active = items[Math.min(last, Math.max(0, steps[event.key]))]?.key ?? "";
  scrollToActive(view);
  return true;
}

/** @param {TimelineView} view @param {KeyboardEvent} event @returns {boolean} */
function axis(view, event) {
  if (event.key === "+" || event.key === "=") view.zoomBy(0.5);
  else if (event.key === "-") view.zoomBy(2);
  else if (event.key === "0") view.zoom.fit();
  else if (event.key === "f") view.toggleFollow();
  else if (event.shiftKey && event.key === "ArrowLeft") view.zoom.pan(-0.2, view.end);
  else if (event.shiftKey && event.key === "ArrowRight") view.zoom.pan(0.2, view.end);
  else return false;
  return true;
}

/** @param {TimelineView} view @param {KeyboardEvent} event @returns {boolean} */
function act(view, event) {
  const { items } = view.list, at = items.findIndex((item) => item.key === view.active), item = items[at];
  if (event.key === "Escape" && view.selected) view.select("");
  else if (!item) return false;
  else if (event.key === "Enter" || event.key === " ") view.activate(item);
  else if (event.key === "ArrowRight") view.setOpen(item, true);
  else if (event.key === "ArrowLeft" && item.open) view.setOpen(item, false);
  else if (event.key === "ArrowLeft") {
    for (let n = at; n >= 0; n--) {
      if (items[n].level >= item.level) continue;
      view.active = items[n].key;
      scrollToActive(view);
      break;
    }
  } else return false;
  return true;
}

/** @param {TimelineView} view */
function scrollToActive(view) {
  let y = 0;
  for (const item of view.list.items) {
    if (item.key === view.active) {
      const below = y + item.height - view.body.clientHeight;
      view.body.scrollTop = Math.min(y, Math.max(below, view.body.scrollTop));
      return;
    }
    y += item.height;
  }
}
