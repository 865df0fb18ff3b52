// @ts-check
// The tooltip, and the panel that opens on a click.

import { icon, make, pretty } from "../shared/dom.js";
import { ABANDONED, COUNT_ORDER, OUTCOMES, STATES } from "../shared/states.js";
import { clockWords, durationWords, number } from "../shared/words.js";
import { durationMs } from "./rows.js";
import { POINTS, title } from "./words.js";

/** @import { Band, Detail, Header, Row } from "./types.js" */

/** @param {Row} row @param {Header} header @param {number} now @returns {string[]} */
export function rowTip(row, header, now) {
  const group = header.groups[row.group], point = POINTS.has(group.kind);
  const lines = [`${title(group)} ${row.hint}`.trim()];
  if (point) return [...lines, clockWords(header.start + row.spans[0][0])];
  const taken = durationMs(row, now), tries = row.spans.length;
  lines.push([STATES[row.state], taken === null ? "" : durationWords(taken), tries > 1 ? `${tries} attempts` : ""].filter(Boolean).join(" · "));
  if (row.due !== null) lines.push(`due ${clockWords(header.start + row.due)}`);
  if (row.note) lines.push(row.note);
  return lines;
}

/** @param {Band} band @param {Header} header @returns {string[]} */
export function bandTip(band, header) {
  const group = header.groups[band.group];
  return [`${number(band.rows.length)} × ${title(group)}`,
    COUNT_ORDER.filter((one) => group.counts[one]).map((one) => `${number(group.counts[one])} ${STATES[one]}`).join(" · ")];
}

/**
 * @param {Row} row @param {Detail | null} detail @param {Header} header @param {number} now
 * @param {() => void} close
 * @returns {HTMLElement[]}
 */
export function detailNodes(row, detail, header, now, close) {
  const group = header.groups[row.group], point = POINTS.has(group.kind);
  const head = make("div", "ipd-detail-head");
  icon(point ? "point" : STATES[row.state], head);
  make("span", "ipd-op", head, title(group));
  make("span", "ipd-hint", head, row.hint);
  const button = make("button", "ipd-button", head, "Close");
  button.setAttribute("type", "button");
  button.addEventListener("click", close);
  const list = make("dl", "");
  /** @param {string} what @param {string} value */
  const add = (what, value) => {
    if (!value) return;
    make("dt", "", list, what);
    make("dd", "", list, value);
  };
  const [scheduled, started] = row.spans[0], taken = durationMs(row, now);
  const waits = group.kind === "timer" || group.kind === "lock";
  if (!point) add("State", STATES[row.state] + (taken === null ? "" : `, ${durationWords(taken)}`));
  add("Task", row.taskId ? `${row.taskId}` : "");
  add(point ? "At" : "Scheduled", clockWords(header.start + scheduled));
  if (!point && !waits && row.state !== ABANDONED) add("Queued for", started === scheduled ? "" : durationWords((started ?? now) - scheduled));
  add("Due", row.due === null ? "" : clockWords(header.start + row.due));
  add("Target", detail?.target ?? "");
  add("Version", detail?.version.slice(0, 12) ?? "");
  const only = detail?.attempts.length === 1 ? detail.attempts[0] : null;
  add("Worker", only?.worker ?? "");
  const nodes = [head, list];
  if (!detail) nodes.push(make("div", "ipd-dim", null, "Asking the kernel for more …"));
  else {
    if (!only) nodes.push(attemptTable(detail, header, now));
    for (const [what, text] of [["Input", detail.input], ["Output", detail.output]]) {
      if (!text) continue;
      const block = make("div", "ipd-value");
      make("div", "ipd-what", block, what);
      make("pre", "", block, pretty(text));
      nodes.push(block);
    }
    for (const attempt of detail.attempts) {
      if (!attempt.error) continue;
      const block = make("details", "ipd-value ipd-error");
      block.toggleAttribute("open", attempt === detail.attempts[detail.attempts.length - 1]);
      make("summary", "", block, `${only ? "Failure" : `Attempt ${attempt.number}`}: ${attempt.error}`);
      make("pre", "", block, attempt.trace || attempt.error);
      nodes.push(block);
    }
  }
  return nodes;
}

/** @param {Detail} detail @param {Header} header @param {number} now @returns {HTMLElement} */
function attemptTable(detail, header, now) {
  const table = make("table", "ipd-attempts");
  const head = make("tr", "", make("thead", "", table));
  for (const what of ["Attempt", "Task", "Outcome", "Started", "Ran for", "Worker"]) make("th", "", head, what);
  const body = make("tbody", "", table);
  for (const { number: n, task_id: taskId, span: [, started, ended, outcome], worker } of detail.attempts) {
    const row = make("tr", "", body);
    const ran = started === null ? "" : durationWords((ended ?? now) - started);
    const state = outcome === 0 && started === null ? "queued" : OUTCOMES[outcome];
    const cells = [`${n}`, `${taskId}`, state, started === null ? "" : clockWords(header.start + started), ran, worker];
    for (const cell of cells) make("td", "", row, cell);
  }
  return table;
}
