// @ts-check
// What anywidget hands to a view. This module holds types only.

/**
 * The kernel's half of a view, as anywidget hands it over.
 * @typedef {{get(name: string): any, on(name: string, handler: (...args: any[]) => void): void,
 *   off(name: string, handler: (...args: any[]) => void): void, send(content: object): void,
 *   widget_manager?: {get_model?(id: string): Promise<{comm_live?: boolean} | undefined>,
 *   kernel?: {status?: string} | null}}} Model
 */
export {};
