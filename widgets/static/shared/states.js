// @ts-check
// The states of operations, and what the status of an instance looks like.

export const QUEUED = 0;
export const RUNNING = 1;
export const WAITING = 2;
export const COMPLETED = 3;
export const FAILED = 4;
export const ABANDONED = 5;
/** Names of the states by number; also the class and the icon of each. */
export const STATES = ["queued", "running", "waiting", "completed", "failed", "abandoned"];
/** Names of the outcomes of an attempt by number. */
export const OUTCOMES = ["running", "completed", "failed", "lost", "abandoned"];
/** The order in which counts are told. */
export const COUNT_ORDER = [COMPLETED, RUNNING, FAILED, WAITING, QUEUED, ABANDONED];

/** The state that the status of an instance looks like. */
export const STATUS_STATE = /** @type {Record<string, string>} */ ({
  Pending: "queued", Running: "running", Suspended: "waiting", Completed: "completed",
  Failed: "failed", Terminated: "abandoned", ContinuedAsNew: "completed",
});

/** The status of an instance in words. */
export const STATUS_WORDS = /** @type {Record<string, string>} */ ({ ContinuedAsNew: "Continued as new" });

/** Icons on a 12 × 12 grid; filled, or stroked where the path is open. */
export const ICONS = /** @type {Record<string, [path: string, filled: boolean]>} */ ({
  completed: ["M2.2 6.6 4.8 9.2 9.8 3.4", false],
  failed: ["M3 3 9 9M9 3 3 9", false],
  running: ["M3.4 2.2 10 6 3.4 9.8z", true],
  waiting: ["M4.2 2.8V9.2M7.8 2.8V9.2", false],
  queued: ["M6 2.4A3.6 3.6 0 1 1 5.99 2.4z", false],
  abandoned: ["M6 2.2A3.8 3.8 0 1 1 5.99 2.2zM3.4 8.6 8.6 3.4", false],
  question: ["M3.9 4.4A2.1 2.1 0 1 1 6.9 6.2Q6 6.7 6 7.6M6 9.7V9.8", false],
  point: ["M6 1.6 10.4 6 6 10.4 1.6 6z", true],
  plus: ["M6 2.4V9.6M2.4 6H9.6", false],
  minus: ["M2.4 6H9.6", false],
  fit: ["M1.6 2.4V9.6M10.4 2.4V9.6M3.6 6H8.4M5 4.4 3.4 6 5 7.6M7 4.4 8.6 6 7 7.6", false],
  follow: ["M10.4 2.4V9.6M1.8 6H8M5.6 3.6 8 6 5.6 8.4", false],
  search: ["M5 8.4A3.4 3.4 0 1 1 5.01 8.4zM7.6 7.6 10.4 10.4", false],
  back: ["M7.8 2.6 4.2 6 7.8 9.4", false],
  close: ["M3 3 9 9M9 3 3 9", false],
  cut: ["M4.6 7.4 7.4 4.6M5.4 3.2 6.6 2A2.4 2.4 0 0 1 10 5.4L8.8 6.6M6.6 8.8 5.4 10A2.4 2.4 0 0 1 2 6.6L3.2 5.4M2 2l1.4 1.4M8.6 8.6 10 10", false],
  lock: ["M2.8 5.4H9.2V9.8H2.8zM4.2 5.4V3.8A1.8 1.8 0 0 1 7.8 3.8V5.4", false],
  open: ["M4.2 2.6 7.8 6 4.2 9.4", false],
});
