"use strict";
/*
 * Painting on labels: a trimap's pixels, one byte each, 0 background, 128 unknown, 255 foreground.
 * Nothing here knows the screen.
 */

const BACKGROUND = 0;
const UNKNOWN = 128;
const FOREGROUND = 255;

/**
 * @typedef {{ x: number, y: number, width: number, height: number }} Rectangle  Whole pixels.
 * @typedef {{ x: number, y: number, radius: number }} Dab  Centre and radius in px of the picture.
 */

/** A rectangle that grows; empty at first. */
class Dirty {
  left = Infinity;
  top = Infinity;
  right = -Infinity;
  bottom = -Infinity;

  /** @param {Rectangle} rectangle */
  add({ x, y, width, height }) {
    this.left = Math.min(this.left, x);
    this.top = Math.min(this.top, y);
    this.right = Math.max(this.right, x + width);
    this.bottom = Math.max(this.bottom, y + height);
  }

  /** @returns {Rectangle | null} */
  get rectangle() {
    if (this.right <= this.left || this.bottom <= this.top) return null;
    const { left: x, top: y } = this;
    return { x, y, width: this.right - x, height: this.bottom - y };
  }
}

/** The labels of a picture. */
class Labels {
  /**
   * @param {number} width
   * @param {number} height
   * @param {Uint8Array} [values]
   */
  constructor(width, height, values = new Uint8Array(width * height)) {
    this.width = width;
    this.height = height;
    this.values = values;
  }

  /** @param {Labels} other  Of the same size. */
  equals(other) {
    return this.values.every((value, at) => value === other.values[at]);
  }

  /** @param {Rectangle} rectangle */
  cut({ x, y, width, height }) {
    const part = new Uint8Array(width * height);
    for (let row = 0; row < height; row++) {
      const start = (y + row) * this.width + x;
      part.set(this.values.subarray(start, start + width), row * width);
    }
    return part;
  }

  /**
   * @param {Rectangle} rectangle
   * @param {Uint8Array} part
   */
  put({ x, y, width, height }, part) {
    for (let row = 0; row < height; row++) {
      this.values.set(part.subarray(row * width, (row + 1) * width), (y + row) * this.width + x);
    }
  }

  /**
   * The part of a rectangle that is inside the picture, in whole pixels; null outside.
   * @param {number} left
   * @param {number} top
   * @param {number} right
   * @param {number} bottom
   * @returns {Rectangle | null}
   */
  clipped(left, top, right, bottom) {
    const x = Math.max(0, Math.floor(left));
    const y = Math.max(0, Math.floor(top));
    const width = Math.min(this.width, Math.ceil(right)) - x;
    const height = Math.min(this.height, Math.ceil(bottom)) - y;
    return width > 0 && height > 0 ? { x, y, width, height } : null;
  }

  /**
   * Paint everything between two dabs.
   *
   * A soft edge is a rim where the opposite label becomes unknown: a trimap knows no halves.
   * @param {Dab} from
   * @param {Dab} to
   * @param {number | Labels} paint  A label, or the labels to bring back.
   * @param {number} softness  Share of the radius that is rim, 0 to 1.
   * @returns {Rectangle | null}  What may have changed.
   */
  stroke(from, to, paint, softness) {
    const most = Math.max(from.radius, to.radius);
    const area = this.clipped(
      Math.min(from.x, to.x) - most,
      Math.min(from.y, to.y) - most,
      Math.max(from.x, to.x) + most + 1,
      Math.max(from.y, to.y) + most + 1,
    );
    if (!area) return null;
    const source = typeof paint === "number" ? null : paint.values;
    const label = typeof paint === "number" ? paint : UNKNOWN;
    const soft = source || label === UNKNOWN ? 0 : softness;
    const dx = to.x - from.x;
    const dy = to.y - from.y;
    const square = dx * dx + dy * dy;
    const thicker = to.radius - from.radius;
    const values = this.values;
    for (let y = area.y; y < area.y + area.height; y++) {
      const py = y + 0.5 - from.y;
      for (let x = area.x, at = y * this.width + x; x < area.x + area.width; x++, at++) {
        const px = x + 0.5 - from.x;
        const along = square ? Math.min(1, Math.max(0, (px * dx + py * dy) / square)) : 0;
        const ex = px - along * dx;
        const ey = py - along * dy;
        const radius = from.radius + along * thicker;
        const distance = ex * ex + ey * ey;
        if (distance > radius * radius) continue;
        const core = radius * (1 - soft);
        if (source) values[at] = source[at];
        else if (distance <= core * core) values[at] = label;
        else if (values[at] !== label) values[at] = UNKNOWN;
      }
    }
    return area;
  }

  /**
   * Give a connected region of one label another.
   * @param {number} x
   * @param {number} y
   * @param {number} label
   * @returns {Rectangle | null}  What has changed.
   */
  fill(x, y, label) {
    const { width, height, values } = this;
    const before = values[y * width + x];
    if (x < 0 || y < 0 || x >= width || y >= height || before === label) return null;
    const dirty = new Dirty();
    const seeds = [y * width + x];
    while (seeds.length) {
      const seed = /** @type {number} */ (seeds.pop());
      if (values[seed] !== before) continue;
      const row = Math.floor(seed / width);
      const start = row * width;
      let left = seed;
      let right = seed;
      while (left > start && values[left - 1] === before) left--;
      while (right < start + width - 1 && values[right + 1] === before) right++;
      values.fill(label, left, right + 1);
      dirty.add({ x: left - start, y: row, width: right - left + 1, height: 1 });
      for (const step of [-width, width]) {
        if (step < 0 ? row === 0 : row === height - 1) continue;
        for (let at = left + step; at <= right + step; at++) {
          if (values[at] === before && (at === left + step || values[at - 1] !== before)) {
            seeds.push(at);
          }
        }
      }
    }
    return dirty.rectangle;
  }

  /** @param {Rectangle} rectangle */
  hasUnknown({ x, y, width, height }) {
    for (let row = y; row < y + height; row++) {
      const start = row * this.width + x;
      if (this.values.subarray(start, start + width).includes(UNKNOWN)) return true;
    }
    return false;
  }
}

const RUN = 1 << 24; // runs are length × 2^8 + label; longer ones are split

/**
 * Pack labels into runs, which are some hundred times smaller.
 * @param {Uint8Array} values
 */
function packRuns(values) {
  const runs = [];
  for (let start = 0; start < values.length; ) {
    const label = values[start];
    const most = Math.min(values.length, start + RUN - 1);
    let end = start + 1;
    while (end < most && values[end] === label) end++;
    runs.push((end - start) * 256 + label);
    start = end;
  }
  return Uint32Array.from(runs);
}

/**
 * @param {Uint32Array} runs
 * @param {number} length
 */
function unpackRuns(runs, length) {
  const values = new Uint8Array(length);
  let start = 0;
  for (const run of runs) {
    const end = start + (run >>> 8);
    values.fill(run & 255, start, end);
    start = end;
  }
  return values;
}

/**
 * @typedef {object} Change  What one action painted, as rasters before and after it.
 * @property {Rectangle} area
 * @property {Uint32Array} before
 * @property {Uint32Array} after
 */

/** The changes of one frame, to be undone and redone. */
class PaintHistory {
  static LEVELS = 100;
  /** @type {Change[]} */ #done = [];
  /** @type {Change[]} */ #undone = [];

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /**
   * @param {Rectangle} area
   * @param {Uint8Array} before
   * @param {Uint8Array} after
   */
  add(area, before, after) {
    this.#done.push({ area, before: packRuns(before), after: packRuns(after) });
    if (this.#done.length > PaintHistory.LEVELS) this.#done.shift();
    this.#undone = [];
  }

  /**
   * Undo or redo a change.
   * @param {Labels} labels
   * @param {boolean} again  Redo.
   * @returns {Rectangle | null}  What has changed; null without anything to undo.
   */
  step(labels, again) {
    const [from, to] = again ? [this.#undone, this.#done] : [this.#done, this.#undone];
    const change = from.pop();
    if (!change) return null;
    const { area } = change;
    labels.put(area, unpackRuns(again ? change.after : change.before, area.width * area.height));
    to.push(change);
    return area;
  }
}
