// @ts-check
// What rows and waits are called.

import { durationWords, zonedWords } from "../shared/words.js";

/** @import { Group, Waiting } from "./types.js" */

/** Kinds of rows that happen at one moment. */
export const POINTS = new Set(["event", "send", "signal"]);
/** What the row of an operation says that another one of a `when_any` outran. */
export const LOST = "lost the race";
const KIND_WORDS = /** @type {Record<string, string>} */ ({
  orchestration: "sub-orchestration", call: "entity", event: "event", operation: "operation", send: "event to", signal: "signal",
});

/** @param {Group} group @returns {string} */
export const title = (group) => [KIND_WORDS[group.kind], group.name].filter(Boolean).join(" ");

/** @param {Waiting} waiting @param {number} now @param {number} start when times begin to count @returns {string} */
export function waitingWords(waiting, now, start) {
  const due = waiting.due === null ? "" : ` (due in ${durationWords(Math.max(0, waiting.due - now))})`;
  switch (waiting.kind) {
    case "event": {
      const since = (waiting.since ?? null) === null ? "" : ` since ${zonedWords(start + Number(waiting.since))}`;
      return (waiting.name ? `the event "${waiting.name}"` : "an external event") + since;
    }
    case "lock": return `the lock of ${waiting.hint}`;
    case "timer": return (waiting.name === "start" ? "its start" : "a timer") + due;
    case "activity": return `the retry of ${waiting.name}${due}`;
    default: return [KIND_WORDS[waiting.kind], waiting.name, waiting.hint].filter(Boolean).join(" ") + due;
  }
}
