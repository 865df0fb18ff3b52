// @ts-check
// What the kernel sends a dashboard; see dashboard_model.py. This module holds types only.

/**
 * Times are milliseconds since 1970.
 * @typedef {{name: string, capacity: number, in_flight: number, ready: number}} Lane
 * @typedef {{worker: string, executor: string, name: string, instance_id: string, since: number}} Work
 * @typedef {{now: number, gseq: number, live: number, lanes: Lane[], work: Work[], held: number}} Beat
 * @typedef {{store: string, size: number, trouble: string, now: number}} Head
 * @typedef {{start: number, width: number, statuses: string[], bins: number[][]}} Histogram
 * @typedef {{instance_id: string, name: string, status: string, what: string, since: number,
 *   until: number | null, hint: string, entity_id: string}} Wait
 * @typedef {{name: string, number: number, count: number, newest: number}} InFlight
 */
export {};
