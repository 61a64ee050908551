"use strict";
/*
 * The matte beside the brush: what is known shows at once, what is unknown as soon as the engine
 * has solved it, at the size at which it is shown.
 */

const CELL = 64; // px; what is solved is remembered by cells
const REACH = 64; // px around a change in which the matte may change, too
const UNSOLVED = 99; // as a level
const WHITE = 0xffffff;

/** Dispatches `draw` when the matte has changed, and `state` when it begins or ends solving. */
class LiveMatte extends EventTarget {
  /** @type {Labels} */ #labels;
  /** Alpha as it is shown. @type {Uint8Array} */ #alpha;
  #frame = 0;
  #generation = 0;
  #busy = false;
  #due = false;
  /** @type {Uint8Array} */ #solved;
  /** Seconds of the last solve; null before it. @type {number | null} */
  seconds = null;
  solves = 0;

  /**
   * @param {(params: object) => Promise<Answer>} solve
   * @param {{ width: number, height: number, levels: number }} shot
   * @param {PanZoom} view
   * @param {Pane} pane
   */
  constructor(solve, shot, view, pane) {
    super();
    this.solve = solve;
    this.shot = shot;
    this.view = view;
    this.pane = pane;
    this.raster = new Raster(shot.width, shot.height);
    this.columns = Math.ceil(shot.width / CELL);
    this.#solved = new Uint8Array(this.columns * Math.ceil(shot.height / CELL)).fill(UNSOLVED);
    this.#labels = new Labels(shot.width, shot.height);
    this.#alpha = new Uint8Array(0);
  }

  get isBusy() {
    return this.#busy;
  }

  /**
   * Show another frame.
   * @param {number} frame
   * @param {Labels} labels
   * @param {Uint8Array | null} matte  The matte of the last run, if it belongs to these labels.
   */
  show(frame, labels, matte) {
    this.#frame = frame;
    this.#labels = labels;
    this.#generation++;
    this.raster.clear();
    const { width, height } = this.shot;
    const all = { x: 0, y: 0, width, height };
    this.#solved.fill(matte ? 0 : UNSOLVED);
    this.#alpha = matte ?? labels.values.slice();
    this.#draw(all);
    this.dispatchEvent(new Event("draw"));
    this.request();
  }

  /**
   * Take notice of changed labels; solving waits for `request`.
   * @param {Rectangle} area
   */
  changed(area) {
    this.#generation++;
    const { values, width } = this.#labels;
    const { x, y } = area;
    for (let row = y; row < y + area.height; row++) {
      for (let at = row * width + x, end = at + area.width; at < end; at++) {
        if (values[at] !== UNKNOWN) this.#alpha[at] = values[at]; // the others stay until solved
      }
    }
    this.#draw(area);
    const wide = { width: area.width + 2 * REACH, height: area.height + 2 * REACH };
    this.#mark({ x: x - REACH, y: y - REACH, ...wide }, UNSOLVED, false);
    this.dispatchEvent(new Event("draw"));
  }

  /** Solve what is visible and not solved yet; at once, or after what is under way. */
  request() {
    this.#due = true;
    if (!this.#busy) this.#go();
  }

  async #go() {
    this.#busy = true;
    this.dispatchEvent(new Event("state"));
    try {
      while (this.#due) {
        this.#due = false;
        const area = this.#needed();
        if (area) await this.#solveArea(area);
      }
    } catch (error) {
      this.dispatchEvent(new CustomEvent("failure", { detail: error }));
    }
    this.#busy = false;
    this.dispatchEvent(new Event("state"));
  }

  /** The cells that are visible, as a rectangle; null if all of them are solved. */
  #needed() {
    const seen = this.view.visible(this.pane.width, this.pane.height);
    if (!seen) return null;
    const level = this.view.level(this.shot.levels);
    let needed = false;
    this.#cells(seen, false, (index, cell) => {
      if (this.#solved[index] > level && this.#labels.hasUnknown(cell)) needed = true;
    });
    if (!needed) return null;
    const step = Math.max(CELL, 2 ** level); // whole cells, so that all of them count as solved
    const x = Math.floor(seen.x / step) * step;
    const y = Math.floor(seen.y / step) * step;
    const right = Math.min(this.shot.width, Math.ceil((seen.x + seen.width) / step) * step);
    const bottom = Math.min(this.shot.height, Math.ceil((seen.y + seen.height) / step) * step);
    return { x, y, width: right - x, height: bottom - y, level };
  }

  /** @param {Rectangle & { level: number }} area */
  async #solveArea(area) {
    const frame = this.#frame;
    const generation = this.#generation;
    const { result, pixels } = await this.solve({ frame, ...area });
    if (frame !== this.#frame) return;
    if (generation !== this.#generation) {
      this.#due = true; // painted meanwhile: this is not the matte of what is there now
      return;
    }
    await this.#put(area, result.width, result.height, pixels);
    this.#mark(area, area.level, true);
    this.seconds = result.seconds;
    this.solves++;
    this.dispatchEvent(new Event("draw"));
  }

  /**
   * @param {Rectangle & { level: number }} area
   * @param {number} width
   * @param {number} height
   * @param {Uint8Array} alpha
   */
  async #put(area, width, height, alpha) {
    const step = 2 ** area.level;
    for (let y = 0; y < area.height; y++) {
      const from = Math.min(height - 1, Math.floor(y / step)) * width;
      let at = (area.y + y) * this.shot.width + area.x;
      for (let x = 0; x < area.width; x++) this.#alpha[at++] = alpha[from + Math.floor(x / step)];
    }
    if (area.level === 0) {
      this.#draw(area);
      return;
    }
    const image = new ImageData(width, height);
    const values = new Uint32Array(image.data.buffer);
    for (let at = 0; at < values.length; at++) values[at] = ((alpha[at] << 24) | WHITE) >>> 0;
    const picture = await createImageBitmap(image);
    this.raster.replace(area, (part, context) => {
      context.save();
      context.beginPath();
      context.rect(part.x, part.y, part.width, part.height);
      context.clip();
      context.clearRect(part.x, part.y, part.width, part.height);
      context.drawImage(picture, area.x, area.y, width * step, height * step);
      context.restore();
    });
    picture.close();
  }

  /** @param {Rectangle} area */
  #draw(area) {
    const { width } = this.shot;
    this.raster.put(area, (pixels, from, at, count) => {
      for (const end = at + count; at < end; ) {
        pixels[at++] = ((this.#alpha[from++] << 24) | WHITE) >>> 0;
      }
    }, width);
  }

  /**
   * @param {Rectangle} area
   * @param {number} level
   * @param {boolean} whole  Only cells that the area holds wholly, as far as there is a picture.
   */
  #mark(area, level, whole) {
    this.#cells(area, whole, (index) => (this.#solved[index] = level));
  }

  /**
   * @param {Rectangle} area
   * @param {boolean} whole
   * @param {(index: number, cell: Rectangle) => void} call
   */
  #cells(area, whole, call) {
    const { width, height } = this.shot;
    const right = Math.min(width, area.x + area.width);
    const bottom = Math.min(height, area.y + area.height);
    for (let y = Math.max(0, Math.floor(area.y / CELL)) * CELL; y < bottom; y += CELL) {
      for (let x = Math.max(0, Math.floor(area.x / CELL)) * CELL; x < right; x += CELL) {
        const cell = { x, y, width: Math.min(CELL, width - x), height: Math.min(CELL, height - y) };
        const inside =
          x >= area.x && y >= area.y && x + cell.width <= right && y + cell.height <= bottom;
        if (!whole || inside) call((y / CELL) * this.columns + x / CELL, cell);
      }
    }
  }
}
