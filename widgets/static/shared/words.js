// @ts-check
// Numbers, durations and times as people say them.

export const SECOND = 1000;
export const MINUTE = 60_000;
export const HOUR = 3_600_000;
export const DAY = 86_400_000;

/**
 * A duration as people say it: "850 ms", "12.3 s", "2 min 5 s".
 * @param {number} ms
 * @param {boolean} [exact] for axis labels: nothing rounded, zeros left out
 * @returns {string}
 */
export function durationWords(ms, exact = false) {
  if (exact && ms >= SECOND) return exactWords(ms);
  if (exact && ms === 0) return "0";
  if (ms < SECOND) return ms >= 1 ? `${Math.round(ms)} ms` : "< 1 ms";
  if (ms < MINUTE - 50) return `${(ms / SECOND).toFixed(1)} s`;
  /** @type {[number, string, number, string, number][]} */
  const units = [[MINUTE, "min", SECOND, "s", HOUR], [HOUR, "h", MINUTE, "min", DAY], [DAY, "d", HOUR, "h", Infinity]];
  for (const [whole, name, rest, restName, below] of units) {
    const rounded = Math.round(ms / rest) * rest;
    if (rounded < below) return `${Math.floor(rounded / whole)} ${name} ${(rounded % whole) / rest} ${restName}`;
  }
  return "";
}

/** @param {number} ms @returns {string} */
function exactWords(ms) {
  const parts = [];
  for (const [unit, name] of /** @type {[number, string][]} */ ([[DAY, "d"], [HOUR, "h"], [MINUTE, "min"]])) {
    if (ms >= unit) parts.push(`${Math.floor(ms / unit)} ${name}`);
    ms %= unit;
  }
  if (ms) parts.push(`${+(ms / SECOND).toFixed(3)} s`);
  return parts.join(" ");
}

/** A count with separators: "12,345". @param {number} count @returns {string} */
export const number = (count) => count.toLocaleString("en-US");

/** @param {number} at milliseconds since 1970 @returns {string} local clock time, with the date if it is not today */
export function clockWords(at) {
  const when = new Date(at);
  const today = when.toDateString() === new Date(Date.now()).toDateString();
  const time = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return today ? time : `${when.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}

/** The zone of this browser's clock at a moment, as people write it: "GMT+1", "UTC". @param {number} at milliseconds since 1970 @returns {string} */
export function zoneWords(at) {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(new Date(at));
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "";
}

/** A local time that says in which zone. @param {number} at milliseconds since 1970 @returns {string} */
export const zonedWords = (at) => `${clockWords(at)} ${zoneWords(at)}`;

/** A time exactly, for whoever compares it with a history. @param {number} at milliseconds since 1970 @returns {string} */
export function utcWords(at) {
  const [day, time] = new Date(at).toISOString().split("T");
  return `${day} ${time.slice(0, -1)} UTC`;
}

/** How long the words for a duration stay the same, in milliseconds, once it is that long. @param {number} ms @returns {number} */
export function steadyFor(ms) {
  const size = Math.abs(ms);
  return size < HOUR ? SECOND : size < DAY ? MINUTE : HOUR;
}

/** A time in a list, as short as it can be: without the date today, without seconds before. @param {number} at milliseconds since 1970 @returns {string} */
export function momentWords(at) {
  const when = new Date(at), now = new Date(Date.now());
  if (when.toDateString() === now.toDateString()) return clockWords(at);
  const isThisYear = when.getFullYear() === now.getFullYear();
  const day = when.toLocaleDateString([], { day: "numeric", month: "short", ...(isThisYear ? {} : { year: "numeric" }) });
  return `${day}, ${when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
}
