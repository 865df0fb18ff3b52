// @ts-check
// The fan-out graph of an instance. Places come from the kernel (see graph.py): `head`, `boxes_0` …,
// `links`, `detail`. This side draws them, zooms and pans, and asks for what was clicked.

import { GraphView } from "./view.js";

/** @import { Model } from "../shared/model.js" */

/** @param {{model: Model, el: HTMLElement}} context @returns {() => void} */
function render({ model, el }) {
  const view = new GraphView(model, el);
  return () => view.destroy();
}

export default { render };
