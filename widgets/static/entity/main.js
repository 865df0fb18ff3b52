// @ts-check
// The card of an entity. State comes in the traits (see entity_card.py): `head`, its state in
// `state_0` …, what was done in `done_0` ….

import { EntityView } from "./view.js";

/** @import { Model } from "../shared/model.js" */

/** @param {{model: Model, el: HTMLElement}} context @returns {() => void} */
function render({ model, el }) {
  const view = new EntityView(model, el);
  return () => view.destroy();
}

export default { render };
