// @ts-check
// The shapes that the kernel sends (see views.py), and what is made of them. Types only.

/**
 * @typedef {[scheduled: number, started: number | null, ended: number | null, outcome: number]} Span
 * @typedef {[index: number, group: number, state: number, taskId: number, spans: Span[],
 *   hint: string, note: string, due: number | null, progress: number | null, target: string,
 *   source: number]} Entry
 * @typedef {{index: number, group: number, state: number, taskId: number, spans: Span[],
 *   hint: string, note: string, due: number | null, progress: number | null, target: string,
 *   source: number}} Row
 * @typedef {{kind: string, name: string, counts: number[]}} Group
 * @typedef {{kind: string, name: string, hint: string, due: number | null,
 *   since?: number | null}} Waiting
 * @typedef {{name: string, since: number}} Awaited
 * @typedef {{epoch: number, name: string, instance_id: string, status: string, finished: boolean,
 *   generation: number, start: number, now: number, end: number | null, groups: Group[],
 *   counts: number[], waiting: Waiting[], custom_status: string, input: string, output: string,
 *   message: {kind: string, text: string, trace: string} | null, awaited: Awaited[],
 *   sources?: Source[]}} Header
 * @typedef {{slot: number, key: string, header: Header}} Source
 * @typedef {{columns: string[], rows: string[][], height: number, width: number}} Table
 * @typedef {{text: string, cut: boolean, table: Table | null}} Value
 * @typedef {{task_id: number, number: number, span: Span, worker: string, error: string,
 *   trace: string}} AttemptDetail
 * @typedef {{epoch: number, index: number, source: number, kind: string, name: string,
 *   task_id: number, target: string, version: string, input: Value, output: Value,
 *   attempts: AttemptDetail[]}} Detail
 * @typedef {{number: number, of: number, version: string, place: string, source: string}} Code
 * @typedef {{kind: string, text: string, picture?: string}} OutputItem
 * @typedef {{code?: Code, output?: {attempt: number, items: OutputItem[]}[],
 *   operation?: {status: string, requested_at: number | null, started_at: number | null,
 *   finished_at: number | null}}} More
 * @typedef {{t0: number, t1: number, x0: number, x1: number, cut: boolean}} Segment
 * @typedef {{group: Group, slot: number, id: string, rows: Row[], listed: Row[] | null,
 *   quantiles: number[] | null}} Band
 * @typedef {{key: string, height: number, level: number, header: Header, row?: Row, band?: Band,
 *   more?: Band, wait?: Awaited, loading?: string, open?: boolean}} Item
 */
export {};
