// @ts-check
// The timeline of an instance. State comes in the traits (see timeline.py): `header`, the row log in
// `page_0` …, `detail`. Bars grow by the browser's clock; the kernel only tells what happened.

import { TimelineView } from "./view.js";

/** @import { Model } from "../shared/model.js" */

/** @param {{model: Model, el: HTMLElement}} context @returns {() => void} */
function render({ model, el }) {
  const view = new TimelineView(model, el);
  return () => view.destroy();
}

export default { render };
