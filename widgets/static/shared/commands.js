// @ts-check
// Asking the kernel to do something, from a button: one question, one answer, whatever happens.

/** @import { Model } from "./model.js" */

const BUSY_MS = 1500;

/**
 * Sends commands to the view's Python side (see live.py) and gives each its answer.
 */
export class Commands {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.asked = 0;
    this.name = Math.random().toString(36).slice(2);
    /** @type {Map<string, (answer: {value?: any, error?: string}) => void>} */
    this.open = new Map();
    /** @param {{answer?: string, value?: any, error?: string}} content */
    this.handler = (content) => {
      const answered = this.open.get(content?.answer ?? "");
      if (!answered) return;
      this.open.delete(content.answer ?? "");
      answered(content);
    };
    model.on("msg:custom", this.handler);
  }

  /**
   * @param {string} command its name
   * @param {object} [args] what it needs
   * @param {() => void} [busy] called if the kernel takes long: it answers once it is free
   * @returns {Promise<any>} what came of it
   * @throws {Error} in the kernel's words, where it was refused or failed
   */
  ask(command, args = {}, busy) {
    const id = `${this.name}-${++this.asked}`;
    return new Promise((resolve, reject) => {
      const timer = busy ? window.setTimeout(busy, BUSY_MS) : 0;
      this.open.set(id, ({ value, error }) => {
        clearTimeout(timer);
        if (error) reject(new Error(error));
        else resolve(value);
      });
      this.model.send({ do: command, id, args });
    });
  }

  close() {
    this.model.off("msg:custom", this.handler);
    this.open.clear();
  }
}
