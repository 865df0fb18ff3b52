// @ts-check
// The shapes that the kernel sends (see views.py), and what is made of them. Types only.

/**
 * @typedef {[scheduled: number, started: number | null, ended: number | null, outcome: number]} Span
 * @typedef {[index: number, group: number, state: number, taskId: number, spans: Span[],
 *   hint: string, note: string, due: number | null, progress: number | null]} Entry
 * @typedef {{index: number, group: number, state: number, taskId: number, spans: Span[],
 *   hint: string, note: string, due: number | null, progress: number | null}} Row
 * @typedef {{kind: string, name: string, counts: number[]}} Group
 * @typedef {{kind: string, name: string, hint: string, due: number | null}} Waiting
 * @typedef {{epoch: number, name: string, instance_id: string, status: string, finished: boolean,
 *   generation: number, start: number, now: number, end: number | null, groups: Group[],
 *   counts: number[], waiting: Waiting[], custom_status: string, input: string, output: string,
 *   message: {kind: string, text: string, trace: string} | null}} Header
 * @typedef {{task_id: number, number: number, span: Span, worker: string, error: string,
 *   trace: string}} AttemptDetail
 * @typedef {{epoch: number, index: number, kind: string, name: string, task_id: number,
 *   target: string, version: string, input: string, output: string,
 *   attempts: AttemptDetail[]}} Detail
 * @typedef {{t0: number, t1: number, x0: number, x1: number, cut: boolean}} Segment
 * @typedef {{group: number, rows: Row[], listed: Row[] | null, quantiles: number[] | null}} Band
 * @typedef {{key: string, height: number, level: number, row?: Row, band?: Band, more?: Band}} Item
 */
export {};
