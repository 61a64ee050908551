"use strict";

/** What the artist has set, kept by the server for the next time. */
class Preferences {
  /** @type {Map<string, number>} */ #due = new Map();

  /**
   * @param {Record<string, string>} values
   * @param {Connection} connection
   */
  constructor(values, connection) {
    this.values = values;
    this.connection = connection;
  }

  /**
   * @param {string} name
   * @param {string} usual
   */
  get(name, usual) {
    return this.values[name] ?? usual;
  }

  /**
   * Keep a value, once it stays for a while.
   * @param {string} name
   * @param {string | number | boolean} value
   */
  set(name, value) {
    if (this.values[name] === String(value)) return;
    this.values[name] = String(value);
    clearTimeout(this.#due.get(name));
    const keep = () => this.connection.request("prefer", { name, value: this.values[name] });
    this.#due.set(name, setTimeout(() => keep().catch(() => {}), 800));
  }
}
