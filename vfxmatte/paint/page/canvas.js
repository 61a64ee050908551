"use strict";
/*
 * What is on screen: rasters in tiles, and panes of stacked canvases.
 * Sizes on screen are device pixels.
 */

const TILE = 512;

/** @typedef {OffscreenCanvasRenderingContext2D} Context */

/** A picture of any size in tiles; those that were never drawn on are transparent and cost nothing. */
class Raster {
  /** @type {Map<number, Context>} */ #tiles = new Map();

  /**
   * @param {number} width
   * @param {number} height
   */
  constructor(width, height) {
    this.columns = Math.ceil(width / TILE);
    this.rows = Math.ceil(height / TILE);
  }

  clear() {
    this.#tiles.clear();
  }

  /**
   * Replace the pixels of a rectangle.
   * @param {Rectangle} area
   * @param {(part: Rectangle, context: Context) => void} paint
   *   Called for each tile with the part of the area on it, in px of the picture, and the tile's
   *   context, which is moved so that drawing takes px of the picture.
   */
  replace(area, paint) {
    for (const { index, x, y } of this.#within(area)) {
      let context = this.#tiles.get(index);
      if (!context) {
        context = /** @type {Context} */ (new OffscreenCanvas(TILE, TILE).getContext("2d"));
        this.#tiles.set(index, context);
      }
      const left = Math.max(x, area.x);
      const top = Math.max(y, area.y);
      const width = Math.min(x + TILE, area.x + area.width) - left;
      const height = Math.min(y + TILE, area.y + area.height) - top;
      context.setTransform(1, 0, 0, 1, -x, -y);
      paint({ x: left, y: top, width, height }, context);
    }
  }

  /**
   * Replace the pixels of a rectangle by values of one's own.
   * @param {Rectangle} area
   * @param {(pixels: Uint32Array, from: number, at: number, count: number) => void} row
   *   Writes so many pixels, A B G R from the highest byte, at `at`; `from` is the first one's place
   *   in an array of the whole picture.
   * @param {number} width  Of the picture.
   */
  put(area, row, width) {
    this.replace(area, (part, context) => {
      const image = new ImageData(part.width, part.height);
      const pixels = new Uint32Array(image.data.buffer);
      for (let y = 0; y < part.height; y++) {
        row(pixels, (part.y + y) * width + part.x, y * part.width, part.width);
      }
      const { e, f } = context.getTransform(); // putImageData takes no notice of it
      context.putImageData(image, part.x + e, part.y + f);
    });
  }

  /**
   * Draw what a view shows of a rectangle.
   * @param {CanvasRenderingContext2D | Context} context
   * @param {PanZoom} view
   * @param {Rectangle} area
   */
  draw(context, view, area) {
    const { scale } = view;
    context.imageSmoothingEnabled = scale < 1;
    for (const { index, x, y } of this.#within(area)) {
      const tile = this.#tiles.get(index);
      if (!tile) continue;
      const side = TILE * scale;
      context.drawImage(tile.canvas, view.left + x * scale, view.top + y * scale, side, side);
    }
  }

  /** @param {Rectangle} area */
  *#within({ x, y, width, height }) {
    const right = Math.min(this.columns - 1, Math.floor((x + width - 1) / TILE));
    const bottom = Math.min(this.rows - 1, Math.floor((y + height - 1) / TILE));
    for (let row = Math.max(0, Math.floor(y / TILE)); row <= bottom; row++) {
      for (let column = Math.max(0, Math.floor(x / TILE)); column <= right; column++) {
        yield { index: row * this.columns + column, x: column * TILE, y: row * TILE };
      }
    }
  }
}

/**
 * @typedef {object} Tile
 * @property {ImageBitmap} picture
 * @property {string} look  The view and exposure that it shows.
 */

/** The plate, fetched in tiles at the size at which it is shown. Dispatches `load`. */
class Plate extends EventTarget {
  /** @type {Map<string, Tile>} */ #tiles = new Map();
  /** @type {Set<string>} */ #asked = new Set();
  /** @type {{ level: number, column: number, row: number }[]} */ #wanted = [];
  frame = 0;
  view = "";
  stops = 0;
  static AT_ONCE = 4;
  static KEPT = 400;

  /**
   * @param {(params: object) => Promise<Answer>} fetchTile
   * @param {{ width: number, height: number, levels: number }} shot
   */
  constructor(fetchTile, shot) {
    super();
    this.fetchTile = fetchTile;
    this.shot = shot;
  }

  /** @param {number} frame */
  show(frame) {
    if (frame === this.frame) return;
    this.frame = frame;
    for (const tile of this.#tiles.values()) tile.picture.close();
    this.#tiles.clear();
  }

  /** True once everything that was drawn last was there, as it is to look. */
  get isComplete() {
    return !this.#wanted.length && !this.#asked.size;
  }

  /**
   * Draw what is there, coarse where the fine tiles are on their way, and ask for what is not.
   * @param {CanvasRenderingContext2D | Context} context
   * @param {PanZoom} view
   * @param {Rectangle} area
   */
  draw(context, view, area) {
    const { width, height, levels } = this.shot;
    const { scale, left, top } = view;
    context.save();
    context.beginPath();
    context.rect(left, top, width * scale, height * scale);
    context.clip();
    context.imageSmoothingEnabled = scale < 2;
    const finest = view.level(levels);
    this.#wanted = [];
    for (const level of new Set([levels - 1, finest])) {
      const size = TILE * 2 ** level;
      for (let row = Math.floor(area.y / size); row * size < area.y + area.height; row++) {
        for (let column = Math.floor(area.x / size); column * size < area.x + area.width; column++) {
          this.#drawTile(context, view, { level, column, row });
        }
      }
    }
    context.restore();
    this.#fetch();
  }

  get look() {
    return `${this.view} ${this.stops}`;
  }

  /**
   * @param {CanvasRenderingContext2D | Context} context
   * @param {PanZoom} view
   * @param {{ level: number, column: number, row: number }} place
   */
  #drawTile(context, view, place) {
    const key = `${this.frame}/${place.level}/${place.column}/${place.row}`;
    const tile = this.#tiles.get(key);
    if (tile?.look !== this.look) this.#wanted.push(place);
    if (!tile) return;
    this.#tiles.delete(key); // the most recently used stand last
    this.#tiles.set(key, tile);
    const step = 2 ** place.level * view.scale;
    context.drawImage(
      tile.picture,
      view.left + place.column * TILE * step,
      view.top + place.row * TILE * step,
      tile.picture.width * step,
      tile.picture.height * step,
    );
  }

  #fetch() {
    while (this.#asked.size < Plate.AT_ONCE) {
      const place = this.#wanted.shift();
      if (!place) return;
      const key = `${this.frame}/${place.level}/${place.column}/${place.row}`;
      if (this.#asked.has(key)) continue;
      this.#asked.add(key);
      this.#load(key, place).finally(() => {
        this.#asked.delete(key);
        this.dispatchEvent(new Event("load"));
      });
    }
  }

  /**
   * @param {string} key
   * @param {{ level: number, column: number, row: number }} place
   */
  async #load(key, place) {
    const { frame, view, stops, look } = this;
    try {
      const { result, pixels } = await this.fetchTile({ frame, view, stops, ...place });
      const picture = await createImageBitmap(imageOf(result.width, result.height, pixels));
      if (frame !== this.frame) return;
      this.#tiles.get(key)?.picture.close();
      this.#tiles.set(key, { picture, look });
      for (const [oldest, tile] of this.#tiles) {
        if (this.#tiles.size <= Plate.KEPT) break;
        tile.picture.close();
        this.#tiles.delete(oldest);
      }
    } catch (error) {
      this.dispatchEvent(new CustomEvent("failure", { detail: error }));
      await new Promise((later) => setTimeout(later, 1000));
    }
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @param {Uint8Array} pixels  RGBA.
 */
function imageOf(width, height, pixels) {
  const values = new Uint8ClampedArray(pixels.length);
  values.set(pixels);
  return new ImageData(values, width, height);
}

/** A stack of canvases that fill an element and show a view; those below draw with the next frame. */
class Pane {
  /** @type {{ context: CanvasRenderingContext2D, draw: LayerDraw }[]} */ #layers = [];
  #due = false;
  width = 1;
  height = 1;

  /**
   * @callback LayerDraw
   * @param {CanvasRenderingContext2D} context  Cleared.
   * @param {Rectangle} area  What is to be drawn, in px of the picture.
   * @returns {void}
   */

  /**
   * @param {HTMLElement} host
   * @param {PanZoom} view
   * @param {boolean} leads  Whether a fitted picture is fitted to this pane.
   */
  constructor(host, view, leads) {
    this.host = host;
    this.view = view;
    this.leads = leads;
    view.addEventListener("change", () => this.redraw());
    new ResizeObserver(() => this.#resize()).observe(host);
  }

  /**
   * Add a canvas on top.
   * @param {string} name  Its class.
   * @param {LayerDraw} draw
   */
  add(name, draw) {
    const canvas = document.createElement("canvas");
    canvas.className = name;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.host.append(canvas);
    this.#layers.push({ context, draw });
    this.#resize();
    return canvas;
  }

  /** Draw all of it with the next animation frame. */
  redraw() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      const area = this.view.visible(this.width, this.height);
      for (const { context, draw } of this.#layers) {
        context.clearRect(0, 0, this.width, this.height);
        if (area) draw(context, area);
      }
    });
  }

  /**
   * Draw a part of the top layer at once.
   * @param {Rectangle} area  In px of the picture.
   */
  drawNow({ x, y, width, height }) {
    const layer = this.#layers[this.#layers.length - 1];
    const { scale, left, top } = this.view;
    const x0 = Math.max(0, Math.floor(left + (x - 1) * scale));
    const y0 = Math.max(0, Math.floor(top + (y - 1) * scale));
    const x1 = Math.min(this.width, Math.ceil(left + (x + width + 1) * scale));
    const y1 = Math.min(this.height, Math.ceil(top + (y + height + 1) * scale));
    if (x1 <= x0 || y1 <= y0) return;
    const { context } = layer;
    context.save();
    context.beginPath();
    context.rect(x0, y0, x1 - x0, y1 - y0);
    context.clip();
    context.clearRect(x0, y0, x1 - x0, y1 - y0);
    layer.draw(context, { x: x - 2, y: y - 2, width: width + 4, height: height + 4 });
    context.restore();
  }

  /**
   * Where a pointer is, in device pixels of this pane.
   * @param {MouseEvent} event
   */
  place(event) {
    const box = this.host.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    return { x: (event.clientX - box.left) * ratio, y: (event.clientY - box.top) * ratio };
  }

  #resize() {
    const ratio = window.devicePixelRatio || 1;
    this.width = Math.max(1, Math.round(this.host.clientWidth * ratio));
    this.height = Math.max(1, Math.round(this.host.clientHeight * ratio));
    for (const { context } of this.#layers) {
      if (context.canvas.width === this.width && context.canvas.height === this.height) continue;
      context.canvas.width = this.width;
      context.canvas.height = this.height;
    }
    if (this.leads && this.view.isFitted) this.view.fit(this.width, this.height);
    this.redraw();
  }
}
