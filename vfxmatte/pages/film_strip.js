"use strict";
/*
 * The film strip: a shot's frames from left to right, pictures on top, lanes of figures below.
 *
 *   const strip = new FilmStrip(document.querySelector("#strip"), {
 *     label: "Frames of the shot",
 *     thumbnail: async (index) => picture,        // or leave it out; null draws nothing
 *   });
 *   strip.show([1001, 1002, ...], [               // frame numbers, and the lanes
 *     { name: "keyframe", kind: "marks", colour: "--lane-keyframe", values: [1, 0, ...] },
 *     { name: "flicker", kind: "bars", colour: "--lane-flicker", values: [0.1, null, ...],
 *       describe: (index) => "flicker 0.012" },
 *   ]);
 *   strip.addEventListener("select", () => load(strip.index));
 *   strip.select(3);                              // no event when `{ quiet: true }`
 *
 * Values of bars are 0 to 1, null draws nothing; those of marks are truthy where a mark stands
 * (below 1: a lower mark). `colour` is the name of a property of theme.css. Where there are more
 * frames than pixels, the largest value shows. The host becomes a slider: arrow keys, Page up and
 * down (ten frames), Home, End; a click or a drag scrubs. Handled keys are `defaultPrevented`.
 *
 * Scripts of pages are classic ones, so that Python can put them into one file: every top-level
 * name is global. A page's own script stands in a block or a function.
 */

/**
 * @typedef {object} Lane
 * @property {string} name  At the lane's left.
 * @property {"bars" | "marks"} kind
 * @property {string} colour  A custom property, such as `--lane-flicker`.
 * @property {(number | null)[]} values  One for each frame.
 * @property {(index: number) => string} [describe]  For the tip and screen readers; "" says nothing.
 */

/**
 * @typedef {object} StripOptions
 * @property {string} label  The accessible name.
 * @property {(index: number) => Promise<CanvasImageSource | null>} [thumbnail]
 *   A frame's picture; asked for once for each frame that is drawn.
 * @property {number} [aspect]  Width over height of thumbnails; 16/9 without.
 */

const STRIP_GUTTER = 86; // px, for the lanes' names
const STRIP_LANE = 16;
const STRIP_RULER = 16;
const STRIP_THUMBNAIL = 46;

class FilmStrip extends EventTarget {
  /** @type {number[]} */ #numbers = [];
  /** @type {Lane[]} */ #lanes = [];
  /** @type {Map<number, CanvasImageSource | null>} */ #thumbnails = new Map();
  #index = 0;
  #canvas = document.createElement("canvas");
  #tip = document.createElement("div");
  #drawn = false;
  #awaited = 0;

  /**
   * @param {HTMLElement} host  An empty element; its width is filled.
   * @param {StripOptions} options
   */
  constructor(host, options) {
    super();
    this.host = host;
    this.options = options;
    host.classList.add("film-strip");
    host.tabIndex = 0;
    host.setAttribute("role", "slider");
    host.setAttribute("aria-label", options.label);
    this.#tip.className = "tip";
    this.#tip.hidden = true;
    host.append(this.#canvas, this.#tip);
    this.#listen();
  }

  /** The selected frame's index. */
  get index() {
    return this.#index;
  }

  /** The selected frame's number; undefined without frames. */
  get number() {
    return this.#numbers[this.#index];
  }

  /** The number of thumbnails that are being made. */
  get awaited() {
    return this.#awaited;
  }

  /**
   * Show frames and lanes; the selection stays on its frame number if that is still there.
   * @param {number[]} numbers
   * @param {Lane[]} lanes
   */
  show(numbers, lanes) {
    const selected = numbers.indexOf(this.#numbers[this.#index]);
    if (numbers.join() !== this.#numbers.join()) this.#thumbnails.clear();
    this.#numbers = numbers;
    this.#lanes = lanes;
    this.#index = Math.max(0, selected);
    this.#announce();
    this.redraw();
  }

  /**
   * Select a frame by its index, which is clamped.
   * @param {number} index
   * @param {{ quiet?: boolean }} [options]
   */
  select(index, { quiet = false } = {}) {
    const clamped = Math.max(0, Math.min(this.#numbers.length - 1, index));
    if (clamped === this.#index) return;
    this.#index = clamped;
    this.#announce();
    this.redraw();
    if (!quiet) this.dispatchEvent(new Event("select"));
  }

  /**
   * Forget a frame's thumbnail (all without an index), so that it is asked for again.
   * @param {number} [index]
   */
  refresh(index) {
    if (index === undefined) this.#thumbnails.clear();
    else this.#thumbnails.delete(index);
    this.redraw();
  }

  /** Draw again with the next animation frame. */
  redraw() {
    if (this.#drawn) return;
    this.#drawn = true;
    requestAnimationFrame(() => {
      this.#drawn = false;
      this.#draw();
    });
  }

  #listen() {
    const { host } = this;
    host.addEventListener("keydown", (event) => this.#key(event));
    host.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      host.setPointerCapture(event.pointerId);
      this.select(this.#indexAt(event));
    });
    host.addEventListener("pointermove", (event) => {
      if (host.hasPointerCapture(event.pointerId)) this.select(this.#indexAt(event));
      this.#showTip(event);
    });
    host.addEventListener("pointerleave", () => (this.#tip.hidden = true));
    new ResizeObserver(() => this.redraw()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    const themes = new MutationObserver(() => this.redraw());
    themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    /** @type {Record<string, number>} */
    const targets = {
      ArrowLeft: this.#index - 1,
      ArrowRight: this.#index + 1,
      ArrowDown: this.#index - 1,
      ArrowUp: this.#index + 1,
      PageUp: this.#index - 10,
      PageDown: this.#index + 10,
      Home: 0,
      End: this.#numbers.length - 1,
    };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.select(target);
  }

  /** @param {PointerEvent} event */
  #indexAt(event) {
    const box = this.#canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - STRIP_GUTTER) / (box.width - STRIP_GUTTER);
    const index = Math.floor(share * this.#numbers.length);
    return Math.max(0, Math.min(this.#numbers.length - 1, index));
  }

  /** @param {PointerEvent} event */
  #showTip(event) {
    if (!this.#numbers.length) return;
    const tip = this.#tip;
    const box = this.host.getBoundingClientRect();
    tip.textContent = this.#description(this.#indexAt(event), "\n");
    tip.hidden = false;
    const left = event.clientX - box.left + 12;
    tip.style.left = `${Math.min(left, box.width - tip.offsetWidth - 4)}px`;
    tip.style.bottom = `${box.bottom - event.clientY + 12}px`;
  }

  /**
   * @param {number} index
   * @param {string} separator
   */
  #description(index, separator) {
    const parts = this.#lanes.map((lane) => {
      if (lane.describe) return lane.describe(index);
      return lane.kind === "marks" && lane.values[index] ? lane.name : "";
    });
    return [`frame ${this.#numbers[index]}`, ...parts.filter(Boolean)].join(separator);
  }

  #announce() {
    const { host } = this;
    if (!this.#numbers.length) return;
    host.setAttribute("aria-valuemin", String(this.#numbers[0]));
    host.setAttribute("aria-valuemax", String(this.#numbers[this.#numbers.length - 1]));
    host.setAttribute("aria-valuenow", String(this.#numbers[this.#index]));
    host.setAttribute("aria-valuetext", this.#description(this.#index, ", "));
  }

  #draw() {
    const width = this.host.clientWidth;
    const top = this.options.thumbnail ? STRIP_THUMBNAIL : 0;
    const height = top + this.#lanes.length * STRIP_LANE + STRIP_RULER;
    const scale = window.devicePixelRatio || 1;
    const canvas = this.#canvas;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    if (!context || !this.#numbers.length || width <= STRIP_GUTTER) return;
    context.scale(scale, scale);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    this.#drawThumbnails(context, width);
    this.#lanes.forEach((lane, row) => {
      this.#drawLane(context, lane, top + row * STRIP_LANE, width);
    });
    this.#drawRuler(context, height - STRIP_RULER, width);
    this.#drawHead(context, height, width);
  }

  /**
   * @param {number} index
   * @param {number} width
   */
  #left(index, width) {
    return STRIP_GUTTER + ((width - STRIP_GUTTER) * index) / this.#numbers.length;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} width
   */
  #drawThumbnails(context, width) {
    const { thumbnail, aspect = 16 / 9 } = this.options;
    if (!thumbnail) return;
    const room = width - STRIP_GUTTER;
    const high = STRIP_THUMBNAIL - 4;
    const slots = Math.max(1, Math.min(this.#numbers.length, Math.floor(room / (high * aspect))));
    for (let slot = 0; slot < slots; slot++) {
      const index = Math.floor(((slot + 0.5) * this.#numbers.length) / slots);
      const picture = this.#thumbnails.get(index);
      if (picture) {
        const left = STRIP_GUTTER + ((slot + 0.5) * room) / slots - (high * aspect) / 2;
        context.drawImage(picture, left, 2, high * aspect, high);
      } else if (picture === undefined) {
        this.#thumbnails.set(index, null);
        this.#awaited++;
        thumbnail(index).then((made) => {
          this.#awaited--;
          this.#thumbnails.set(index, made);
          this.redraw();
        });
      }
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Lane} lane
   * @param {number} top
   * @param {number} width
   */
  #drawLane(context, lane, top, width) {
    context.fillStyle = this.colour("--quiet");
    context.textAlign = "right";
    context.fillText(lane.name, STRIP_GUTTER - 8, top + STRIP_LANE / 2);
    context.fillStyle = this.colour("--line");
    context.fillRect(STRIP_GUTTER, top + STRIP_LANE - 1, width - STRIP_GUTTER, 0.5);
    context.fillStyle = this.colour(lane.colour);
    const room = STRIP_LANE - 3;
    lane.values.forEach((value, index) => {
      if (!value) return;
      const left = this.#left(index, width);
      const cell = Math.max(1, this.#left(index + 1, width) - left);
      const high = Math.max(1, Math.min(1, value) * room);
      const wide = lane.kind === "marks" ? Math.min(cell, 8) : Math.max(1, cell - 0.5);
      context.fillRect(left + (cell - wide) / 2, top + STRIP_LANE - 1 - high, wide, high);
    });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} top
   * @param {number} width
   */
  #drawRuler(context, top, width) {
    const count = this.#numbers.length;
    const widest = context.measureText(String(this.#numbers[count - 1])).width + 14;
    const cell = (width - STRIP_GUTTER) / count;
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((s) => s * cell >= widest) ?? 2000;
    context.textAlign = "center";
    context.fillStyle = this.colour("--quiet");
    for (let index = 0; index < count; index += step) {
      const middle = this.#left(index, width) + cell / 2;
      const text = String(this.#numbers[index]);
      const half = context.measureText(text).width / 2;
      const x = Math.min(Math.max(middle, STRIP_GUTTER + half), width - half - 2);
      context.fillText(text, x, top + STRIP_RULER / 2);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} height
   * @param {number} width
   */
  #drawHead(context, height, width) {
    const left = this.#left(this.#index, width);
    const cell = Math.max(2, this.#left(this.#index + 1, width) - left);
    context.globalAlpha = 0.18;
    context.fillStyle = this.colour("--accent");
    context.fillRect(left, 0, cell, height);
    context.globalAlpha = 1;
    context.fillRect(left + cell / 2 - 1, 0, 2, height - STRIP_RULER);
    const text = String(this.number);
    const wide = context.measureText(text).width + 10;
    const middle = Math.min(Math.max(left + cell / 2, STRIP_GUTTER + wide / 2), width - wide / 2);
    context.fillRect(middle - wide / 2, height - STRIP_RULER, wide, STRIP_RULER);
    context.fillStyle = this.colour("--on-accent");
    context.textAlign = "center";
    context.fillText(text, middle, height - STRIP_RULER / 2);
  }

  /**
   * The present value of a custom property, as a canvas understands it.
   * @param {string} name
   */
  colour(name) {
    this.#tip.style.outlineColor = `var(${name})`;
    return getComputedStyle(this.#tip).outlineColor;
  }
}
