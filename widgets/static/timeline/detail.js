// @ts-check
// The tooltip, and the panel that opens on a click.

import { icon, make, pretty } from "../shared/dom.js";
import { ABANDONED, COUNT_ORDER, OUTCOMES, STATES } from "../shared/states.js";
import { clockWords, durationWords, number, utcWords, zoneWords, zonedWords } from "../shared/words.js";
import { takenMs } from "./list.js";
import { POINTS, title } from "./words.js";

/** @import { Band, Detail, Header, Item, More, Row, Table, Value } from "./types.js" */

/** @param {Item} item @param {number} now @returns {string[]} the lines of the tooltip */
export function tipLines(item, now) {
  if (item.row) return rowTip(item.row, item.header, now);
  if (item.band) return bandTip(item.band);
  return item.wait ? [`event "${item.wait.name}"`, "waits until somebody raises it"] : [];
}

/** @param {Row} row @param {Header} header @param {number} now @returns {string[]} */
function rowTip(row, header, now) {
  const group = header.groups[row.group], taken = takenMs(row, group, now), tries = row.spans.length;
  const lines = [`${title(group)} ${row.hint}`.trim()];
  if (POINTS.has(group.kind)) return lines;
  const progress = row.progress === null ? "" : `${Math.round(row.progress * 100)} %`;
  lines.push([STATES[row.state], progress, taken === null ? "" : durationWords(taken), tries > 1 ? `${tries} attempts` : ""].filter(Boolean).join(" · "));
  if (row.due !== null) lines.push(`due in ${durationWords(Math.max(0, row.due - now))}`);
  if (row.note) lines.push(row.note);
  return lines;
}

/** @param {Band} band @returns {string[]} */
function bandTip({ group, rows }) {
  return [`${number(rows.length)} × ${title(group)}`,
    COUNT_ORDER.filter((one) => group.counts[one]).map((one) => `${number(group.counts[one])} ${STATES[one]}`).join(" · ")];
}

/**
 * @typedef {{row: Row, header: Header, detail: Detail | null, more: More | null, now: number,
 *   start: number, live: boolean}} Shown all that is known of a row; `start` is the zero of its times
 */

/** @param {Shown} shown @param {() => void} close @returns {HTMLElement[]} */
export function detailNodes(shown, close) {
  const { row, header, detail, live } = shown, group = header.groups[row.group];
  const head = make("div", "ipd-detail-head");
  icon(POINTS.has(group.kind) ? "point" : STATES[row.state], head);
  make("span", "ipd-op", head, title(group));
  make("span", "ipd-hint", head, row.hint);
  const button = make("button", "ipd-button ipd-iconic", head);
  button.setAttribute("type", "button");
  button.setAttribute("aria-label", "Close");
  button.title = "Close (Esc)";
  icon("close", button);
  button.addEventListener("click", close);
  const nodes = [head, facts(shown)];
  if (!detail) {
    nodes.push(make("div", "ipd-dim", null, live ? "Asking the kernel for more …" : "More is known only while the kernel is connected."));
    return nodes;
  }
  if (detail.attempts.length > 1) nodes.push(attemptTable(shown));
  const values = make("div", "ipd-values");
  for (const [what, value] of /** @type {[string, Value][]} */ ([["Input", detail.input], ["Output", detail.output]])) {
    if (value.text) values.append(valueNode(what, value));
  }
  if (values.childElementCount) nodes.push(values);
  nodes.push(...failures(detail), ...outputs(shown.more), ...code(shown.more));
  return nodes;
}

/** @param {Shown} shown @returns {HTMLElement} */
function facts({ row, header, detail, more, now, start }) {
  const list = make("div", "ipd-facts"), group = header.groups[row.group], point = POINTS.has(group.kind);
  /** @param {string} what @param {string} value @param {number} [at] the moment that it tells */
  const add = (what, value, at) => {
    if (!value) return;
    const pair = make("div", "", list);
    if (at !== undefined) pair.title = utcWords(at);
    make("div", "ipd-what", pair, what);
    make("div", "ipd-words", pair, value);
  };
  const [scheduled, started] = row.spans[0], taken = takenMs(row, group, now);
  const waits = group.kind === "timer" || group.kind === "lock";
  if (!point) add("State", STATES[row.state] + (taken === null ? "" : `, ${durationWords(taken)}`));
  if (row.progress !== null) add("Progress", `${Math.round(row.progress * 100)} %${row.note ? `, ${row.note}` : ""}`);
  add(point ? "At" : waits ? "Since" : "Scheduled", zonedWords(start + scheduled), start + scheduled);
  if (group.kind === "activity" && row.state !== ABANDONED) add("Queued for", started === scheduled ? "" : durationWords((started ?? now) - scheduled));
  if (row.due !== null) add("Due", zonedWords(start + row.due), start + row.due);
  add(group.kind === "orchestration" ? "Instance" : "Target", detail?.target ?? "");
  const did = more?.operation;
  if (did?.requested_at && did.started_at) add("In its queue for", durationWords(did.started_at - did.requested_at));
  if (did?.started_at && did.finished_at) add("Worked for", durationWords(did.finished_at - did.started_at));
  if (did && !did.started_at) add("Entity", did.status);
  if (more?.code) add("Version", `v${more.code.number}${more.code.of > more.code.number ? ` of ${more.code.of}` : ""} · ${more.code.version.slice(0, 8)}`);
  else add("Version", detail?.version.slice(0, 8) ?? "");
  add("Defined in", more?.code?.place ?? "");
  add("Worker", detail?.attempts.length === 1 ? detail.attempts[0].worker : "");
  add("Task", row.taskId ? `${row.taskId}` : "");
  return list;
}

/** @param {string} what @param {Value} value @returns {HTMLElement} */
function valueNode(what, value) {
  const block = make("div", "ipd-value");
  make("div", "ipd-what", block, what);
  if (value.table) block.append(tableNode(value.table));
  else {
    make("pre", "", block, pretty(value.text));
    if (value.cut) make("div", "ipd-dim", block, "… and more");
  }
  return block;
}

/** @param {Table} table @returns {HTMLElement} */
function tableNode({ columns, rows, height, width }) {
  const box = make("div", "ipd-table-box"), table = make("table", "ipd-table", box);
  const head = make("tr", "", make("thead", "", table)), body = make("tbody", "", table);
  const more = width > columns.length;
  for (const column of columns) make("th", "", head, column);
  if (more) make("th", "", head, "…");
  for (const cells of rows) {
    const row = make("tr", "", body);
    for (const cell of cells) make("td", "", row, cell);
    if (more) make("td", "", row, "…");
  }
  make("div", "ipd-dim", box, `${number(height)} rows × ${number(width)} columns`);
  return box;
}

/** @param {Detail} detail @returns {HTMLElement[]} */
function failures({ attempts }) {
  return attempts.filter((attempt) => attempt.error).map((attempt) => {
    const block = make("details", "ipd-value ipd-error");
    block.toggleAttribute("open", attempt === attempts[attempts.length - 1]);
    make("summary", "", block, `${attempts.length === 1 ? "Failure" : `Attempt ${attempt.number}`}: ${attempt.error}`);
    make("pre", "", block, attempt.trace || attempt.error);
    return block;
  });
}

/** What the attempts printed. @param {More | null} more @returns {HTMLElement[]} */
function outputs(more) {
  return (more?.output ?? []).filter((one) => one.items.length).map(({ attempt, items }, n, all) => {
    const block = make("details", "ipd-value");
    block.toggleAttribute("open", n === all.length - 1);
    make("summary", "", block, all.length === 1 ? "Printed" : `Printed by attempt ${attempt}`);
    const text = make("pre", "", block);
    for (const item of items) {
      if (!item.picture) make("span", `ipd-out-${item.kind}`, text, item.text);
      else {
        const picture = /** @type {HTMLImageElement} */ (make("img", "ipd-picture", text));
        picture.alt = item.text;
        picture.src = `data:image/png;base64,${item.picture}`;
      }
    }
    return block;
  });
}

/** @param {More | null} more @returns {HTMLElement[]} */
function code(more) {
  if (!more?.code?.source) return [];
  const block = make("details", "ipd-value");
  make("summary", "", block, `Code that ran${more.code.place ? ` (${more.code.place})` : ""}`);
  make("pre", "", block, more.code.source);
  return [block];
}

/** @param {Shown} shown @returns {HTMLElement} */
function attemptTable({ detail, now, start }) {
  const table = make("table", "ipd-attempts");
  const head = make("tr", "", make("thead", "", table));
  const zone = zoneWords(start);
  for (const what of ["Attempt", "Outcome", `Started (${zone})`, "Ran for", "Worker", "Task"]) make("th", "", head, what);
  const body = make("tbody", "", table);
  for (const { number: n, task_id: taskId, span: [, started, ended, outcome], worker } of detail?.attempts ?? []) {
    const row = make("tr", "", body);
    const ran = started === null ? "" : durationWords((ended ?? now) - started);
    const state = outcome === 0 && started === null ? "queued" : OUTCOMES[outcome];
    make("td", "", row, `${n}`);
    const told = make("td", "", row);
    icon(state === "lost" ? "failed" : state, told);
    told.append(` ${state}`);
    const when = make("td", "", row, started === null ? "" : clockWords(start + started));
    if (started !== null) when.title = utcWords(start + started);
    for (const cell of [ran, worker, `${taskId}`]) make("td", "", row, cell);
  }
  return table;
}
