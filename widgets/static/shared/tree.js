// @ts-check
// A value as a tree that opens; what was open stays open when the value changes.

import { make } from "./dom.js";

/**
 * As state_tree.py makes it: name, words, what it holds, how many are left out, whether it is open.
 * @typedef {[name: string, words: string, children: TreeNode[] | null, leftOut: number, isOpen: boolean]} TreeNode
 */

/** The trees of one view. */
export class Trees {
  constructor() {
    /** @type {Map<string, boolean>} what somebody has opened or closed, by path */
    this.chosen = new Map();
  }

  /** Draw a value without its name. @param {TreeNode} node @param {string} path @param {Element} parent */
  draw(node, path, parent) {
    const [, words, children, leftOut, isOpen] = node;
    if (!children) {
      make("span", "ipd-tree-value", parent, words);
      return;
    }
    const block = /** @type {HTMLDetailsElement} */ (make("details", "ipd-tree", parent));
    block.open = this.chosen.get(path) ?? isOpen;
    const summary = make("summary", "", block, words);
    summary.dataset.path = path;
    const inside = make("div", "ipd-tree-in", block);
    const fill = () => {
      if (inside.childElementCount) return;
      for (const child of children) {
        const row = make("div", "ipd-tree-row", inside);
        make("span", "ipd-tree-name", row, child[0]);
        row.append(" ");
        this.draw(child, `${path}/${child[0]}`, row);
      }
      if (leftOut) make("div", "ipd-dim", inside, `… ${leftOut.toLocaleString("en-US")} more`);
    };
    if (block.open) fill();
    block.addEventListener("toggle", () => {
      this.chosen.set(path, block.open);
      if (block.open) fill();
    });
    summary.addEventListener("keydown", (event) => {
      // As in other trees; and Lab has uses of its own for these keys.
      if (["ArrowRight", "ArrowLeft"].includes(event.key)) {
        block.open = event.key === "ArrowRight";
        event.preventDefault();
      }
      if (["ArrowRight", "ArrowLeft", "Enter", " "].includes(event.key)) event.stopPropagation();
    });
  }
}
