// @ts-check
// The dashboard of a store (see dashboard.py): `beat` says that something has happened; whoever is
// in sight then asks for the rest to be taken anew.

import { DashboardView } from "./view.js";

/** @import { Model } from "../shared/model.js" */

/** @param {{model: Model, el: HTMLElement}} context @returns {() => void} */
function render({ model, el }) {
  const view = new DashboardView(model, el);
  return () => view.destroy();
}

export default { render };
