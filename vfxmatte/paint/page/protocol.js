"use strict";
/*
 * The page's side of the protocol, see messages.py and methods.py: requests with their answers, and
 * events, over one WebSocket. A message is a JSON record and, after it, pixels.
 */

/**
 * @typedef {object} Answer
 * @property {any} result  The record of the answer.
 * @property {Uint8Array} pixels  What came after it.
 */

/** An error that the server answered with; `hint` says what to do about it. */
class Refusal extends Error {
  /** @param {{ message: string, hint?: string | null }} error */
  constructor(error) {
    super(error.message);
    this.hint = error.hint ?? "";
  }
}

/**
 * Dispatches `event` (a CustomEvent whose detail is the server's event), `open` and `close`.
 */
class Connection extends EventTarget {
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Map<number, { resolve: (a: Answer) => void, reject: (e: Error) => void }>} */
  #waiting = new Map();
  #ident = 0;

  /** @param {string} token  The token, or the code for one use. */
  connect(token) {
    const socket = new WebSocket(`ws://${location.host}/socket`, ["vfxmatte", token]);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.dispatchEvent(new Event("open"));
    socket.onmessage = (message) => this.#take(message.data);
    socket.onclose = () => {
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      for (const one of waiting) one.reject(new Refusal({ message: "the connection is lost" }));
      this.dispatchEvent(new Event("close"));
    };
    this.#socket = socket;
  }

  /** Bytes that wait to be sent. */
  get backlog() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /**
   * Ask for something.
   * @param {string} method
   * @param {object} [params]
   * @param {Uint8Array} [pixels]
   * @returns {Promise<Answer>}  Rejected with a Refusal.
   */
  request(method, params = {}, pixels) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(new Refusal({ message: "the connection is lost" }));
        return;
      }
      const id = ++this.#ident;
      this.#waiting.set(id, { resolve, reject });
      this.#socket.send(packMessage({ id, method, params }, pixels));
    });
  }

  /** @param {ArrayBuffer} data */
  #take(data) {
    const { record, pixels } = unpackMessage(data);
    if (record.event) {
      this.dispatchEvent(new CustomEvent("event", { detail: record }));
      return;
    }
    const waiting = this.#waiting.get(record.id);
    this.#waiting.delete(record.id);
    if (record.error) waiting?.reject(new Refusal(record.error));
    else waiting?.resolve({ result: record.result, pixels });
  }
}

/**
 * @param {object} record
 * @param {Uint8Array} [pixels]
 */
function packMessage(record, pixels = new Uint8Array(0)) {
  const text = new TextEncoder().encode(JSON.stringify(record));
  const message = new Uint8Array(4 + text.length + pixels.length);
  new DataView(message.buffer).setUint32(0, text.length, true);
  message.set(text, 4);
  message.set(pixels, 4 + text.length);
  return message;
}

/** @param {ArrayBuffer} data */
function unpackMessage(data) {
  const length = new DataView(data).getUint32(0, true);
  const record = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  return { record, pixels: new Uint8Array(data, 4 + length) };
}
