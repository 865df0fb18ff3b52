// @ts-check
// One mounted card: what the entity holds, who holds it, what waits for it, what was done.

import { icon, make, setIcon, setText, syncChildren } from "../shared/dom.js";
import { Trees } from "../shared/tree.js";
import { View } from "../shared/view.js";
import { clockWords, durationWords, number, utcWords, zoneWords, zonedWords } from "../shared/words.js";

/** @import { Model } from "../shared/model.js" */
/** @import { TreeNode } from "../shared/tree.js" */

/**
 * As entity_model.py makes them; times are milliseconds since 1970.
 * @typedef {{what: string, who: string, since: number, due: number | null}} Waiting
 * @typedef {{title: string, now: number, exists: boolean, has_state: boolean,
 *   modified: number | null, pending: number, locked_by: string, locked_at: number | null,
 *   lock_queue: string[], waiting: Waiting[], kept_aside: [string, string][]}} Head
 * @typedef {{number: number, kind: string, name: string, input: string, who: string,
 *   state: string, result: string, at: number, queued: number | null, took: number | null,
 *   changes: [string, string | null, string][], more_changes: number, together: number}} Happening
 */

const PARTS = 8;
const SECOND = 1000;
const IN_LINE = 5;

/** One mounted card of an entity. */
export class EntityView extends View {
  /** @param {Model} model @param {HTMLElement} host */
  constructor(model, host) {
    super(model, host, "ipd-entity");
    this.trees = new Trees();
    const head = make("div", "ipd-entity-head", this.root);
    this.name = make("span", "ipd-entity-name", head);
    this.lock = make("span", "ipd-chip ipd-waiting", head);
    icon("lock", this.lock);
    make("span", "", this.lock);
    this.backlog = make("span", "ipd-chip ipd-queued", head);
    icon("queued", this.backlog);
    make("span", "", this.backlog);
    this.modified = make("span", "ipd-dim ipd-entity-modified", head);
    const body = make("div", "ipd-entity-body", this.root);
    this.left = make("section", "ipd-entity-left", body);
    this.left.setAttribute("aria-label", "State");
    this.none = make("div", "ipd-dim", this.left);
    this.state = make("div", "ipd-entity-state", this.left);
    this.facts = make("div", "ipd-entity-facts", this.left);
    this.right = make("section", "ipd-entity-right", body);
    this.right.setAttribute("aria-label", "Last operations");
    this.heading = make("h4", "ipd-entity-title", this.right);
    this.list = make("div", "ipd-entity-list", this.right);
    this.list.setAttribute("role", "list");
    this.list.setAttribute("aria-label", "Last operations, newest first");
    // What scrolls is reached by keyboard.
    this.list.tabIndex = 0;
    /** @type {Map<string, string>} what is drawn of each attribute */
    this.drawn = new Map();
    this.newest = 0;
    this.follow("head", () => {
      if (this.head) this.measureClock(this.head.now);
    });
    for (let n = 0; n < PARTS; n++) {
      this.follow(`state_${n}`);
      this.follow(`done_${n}`);
    }
    this.queue();
  }

  /** @returns {Head | null} */
  get head() {
    const head = this.model.get("head");
    return head && "title" in head ? head : null;
  }

  get rhythm() {
    // Only durations that grow are worth drawing again.
    return this.head?.locked_by || this.head?.pending ? SECOND : 0;
  }

  draw() {
    const head = this.head;
    if (!head) return;
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", `Entity ${head.title}`);
    this.drawHead(head);
    this.drawState(head);
    this.drawFacts(head);
    this.drawDone();
  }

  /** @param {Head} head */
  drawHead(head) {
    setText(this.name, head.title);
    this.lock.hidden = !head.locked_by;
    setText(this.lock.children[1], `Locked${head.locked_at === null ? "" : ` for ${this.since(head.locked_at)}`}`);
    this.backlog.hidden = !head.pending;
    setText(this.backlog.children[1], `${number(head.pending)} waiting`);
    setText(this.modified, head.modified === null ? "" : `modified ${zonedWords(head.modified)}`);
    this.modified.title = head.modified === null ? "" : utcWords(head.modified);
  }

  /** @param {number} at */
  since(at) {
    return durationWords(Math.max(0, this.clock() - at));
  }

  /** @param {Head} head */
  drawState(head) {
    this.none.hidden = head.has_state;
    setText(this.none, head.exists ? "It holds no state." : "Nothing has reached it yet.");
    /** @type {[number, TreeNode][]} */
    const parts = [];
    for (let n = 0; n < PARTS; n++) parts.push(...(this.model.get(`state_${n}`) ?? []));
    parts.sort((a, b) => a[0] - b[0]);
    const isFirst = !this.drawn.size;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.path : undefined;
    const had = this.state.contains(document.activeElement);
    syncChildren(this.state, parts.length, "", (row, n) => {
      const node = parts[n][1], sent = JSON.stringify(node), name = node[0];
      if (row.dataset.sent === sent) return;
      row.dataset.sent = sent;
      row.replaceChildren();
      make("div", "ipd-entity-name-of", row, name);
      this.trees.draw(node, name, make("div", "ipd-entity-value", row));
      if (!isFirst && this.drawn.get(name) !== sent) flash(row);
      this.drawn.set(name, sent);
    });
    if (had && focused && !this.state.contains(document.activeElement)) {
      const summaries = [.../** @type {NodeListOf<HTMLElement>} */ (this.state.querySelectorAll("summary"))];
      summaries.find((one) => one.dataset.path === focused)?.focus();
    }
  }

  /** @param {Head} head */
  drawFacts(head) {
    /** @type {[string, string][]} */
    const facts = [];
    if (head.locked_by) facts.push(["locked by", head.locked_by]);
    if (head.lock_queue.length) {
      const more = head.lock_queue.length - IN_LINE;
      facts.push(["next in line", head.lock_queue.slice(0, IN_LINE).join(", ") + (more > 0 ? ` and ${number(more)} more` : "")]);
    }
    if (head.kept_aside.length) facts.push(["kept aside", head.kept_aside.map(([name, value]) => `${name} = ${value}`).join(", ")]);
    syncChildren(this.facts, facts.length, "ipd-entity-fact", (row, n) => {
      if (!row.childElementCount) {
        make("span", "ipd-dim", row);
        make("span", "", row);
      }
      setText(row.children[0], facts[n][0]);
      setText(row.children[1], facts[n][1]);
    });
    this.drawWaiting(head);
  }

  /** @param {Head} head */
  drawWaiting(head) {
    if (!this.waits && !head.waiting.length) return;
    if (!this.waits) {
      this.waits = make("details", "ipd-entity-waits", this.left);
      make("summary", "", this.waits);
      make("div", "", this.waits);
    }
    this.waits.hidden = !head.waiting.length;
    const [summary, list] = this.waits.children;
    const more = head.pending - head.waiting.length;
    setText(summary, `What waits for it: ${number(head.pending)}`);
    syncChildren(list, head.waiting.length + (more > 0 ? 1 : 0), "ipd-entity-wait", (row, n) => {
      const one = head.waiting[n];
      if (!one) {
        row.replaceChildren();
        setText(row, `… ${number(more)} more`);
        return;
      }
      if (row.childElementCount !== 2) {
        row.replaceChildren();
        make("span", "ipd-code", row);
        make("span", "ipd-dim", row);
      }
      setText(row.children[0], one.what);
      const when = one.due === null ? `for ${this.since(one.since)}` : `due ${zonedWords(one.due)}`;
      /** @type {HTMLElement} */ (row).title = utcWords(one.due ?? one.since);
      setText(row.children[1], `${one.who ? `of ${one.who}, ` : ""}${when}`);
    });
  }

  drawDone() {
    /** @type {Happening[]} */
    const done = [];
    for (let n = 0; n < PARTS; n++) done.push(...(this.model.get(`done_${n}`) ?? []));
    done.sort((a, b) => b.number - a.number);
    this.right.hidden = !done.length;
    if (done.length) setText(this.heading, `Last operations (times in ${zoneWords(done[0].at)})`);
    const before = this.newest;
    this.newest = done[0]?.number ?? 0;
    const known = new Map([.../** @type {any} */ (this.list.children)].map((node) => [node.dataset.number, node]));
    let place = this.list.firstElementChild;
    for (const one of done) {
      const key = `${one.number}`, sent = JSON.stringify(one);
      let node = known.get(key);
      known.delete(key);
      if (!node) {
        node = make("div", "ipd-done");
        node.setAttribute("role", "listitem");
        node.dataset.number = key;
        if (before && one.number > before) flash(node);
      }
      if (node.dataset.sent !== sent) {
        node.dataset.sent = sent;
        drawHappening(node, one);
      }
      if (node === place) place = node.nextElementSibling;
      else this.list.insertBefore(node, place);
    }
    for (const node of known.values()) node.remove();
  }
}

/** Show for a moment that something is new. @param {HTMLElement} node */
function flash(node) {
  node.classList.remove("ipd-new");
  // Read, so that the animation starts anew.
  void node.offsetWidth;
  node.classList.add("ipd-new");
}

/** @param {HTMLElement} node @param {Happening} one */
function drawHappening(node, one) {
  node.replaceChildren();
  const isLock = one.kind === "lock";
  const sign = icon("queued", node);
  setIcon(sign, isLock ? "lock" : one.state);
  const words = make("div", "ipd-done-words", node);
  const line = make("div", "ipd-done-line", words);
  if (isLock) make("span", "", line, one.state === "running" ? "locked" : "was locked");
  else make("span", "ipd-code", line, `${one.name}(${one.input})`);
  if (one.state === "failed") make("span", "ipd-done-failed", line, "failed");
  else if (one.result) make("span", "ipd-code", line, `→ ${one.result}`);
  make("span", "ipd-dim", line, one.who ? `by ${one.who}` : "by a client");
  if (one.state === "failed") make("div", "ipd-done-failed", words, one.result);
  if (one.changes.length) drawChanges(make("div", "ipd-done-changes", words), one);
  const times = make("div", "ipd-dim ipd-done-times", node);
  make("span", "", times, clockWords(one.at)).title = utcWords(one.at);
  if (one.took !== null) make("span", "", times, durationWords(one.took));
  if (one.queued !== null) node.title = `waited ${durationWords(one.queued)} for its turn`;
}

/** @param {HTMLElement} node @param {Happening} one */
function drawChanges(node, one) {
  for (const [name, before, after] of one.changes) {
    const change = make("span", "ipd-change", node);
    make("span", "ipd-tree-name", change, name);
    if (before === null) make("span", "", change, `= ${after}`);
    else {
      make("s", "ipd-dim", change, before);
      make("span", "", change, `→ ${after}`);
    }
  }
  if (one.more_changes) make("span", "ipd-dim", node, `and ${number(one.more_changes)} more`);
  if (one.together) make("span", "ipd-dim", node, `with the ${number(one.together)} before it`);
}
