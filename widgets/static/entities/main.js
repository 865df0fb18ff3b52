// @ts-check
// The table of a store's entities (see entities_table.py). Rows are asked for as they are looked
// at; `stamp` changes when they may have changed.

import { EntitiesView } from "./view.js";

/** @import { Model } from "../shared/model.js" */

/** @param {{model: Model, el: HTMLElement}} context @returns {() => void} */
function render({ model, el }) {
  const view = new EntitiesView(model, el);
  return () => view.destroy();
}

export default { render };
