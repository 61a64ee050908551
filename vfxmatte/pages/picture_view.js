"use strict";
/*
 * A picture that can be zoomed to the cursor and dragged.
 *
 *   const view = new PictureView(host, { label: "Picture", paint: (context) => { ... } });
 *   view.resize(960, 540);         // of the picture
 *   view.redraw();                 // calls `paint` with picture coordinates
 *   view.addEventListener("hover", () => view.cursor);    // {x, y} in the picture, or null
 *
 * The wheel zooms to the cursor; a drag pans; a double click goes to 1:1 and back to all.
 */

/**
 * @typedef {object} ViewOptions
 * @property {string} label  The accessible name.
 * @property {(context: CanvasRenderingContext2D, view: PictureView) => void} paint
 *   Draws; the context is in the picture's coordinates.
 */

const ZOOM_MOST = 32;

class PictureView extends EventTarget {
  /** @type {{ x: number, y: number } | null} */ cursor = null;
  width = 1;
  height = 1;
  /** Screen pixels (of CSS) for one of the picture. */
  zoom = 1;
  #left = 0;
  #top = 0;
  #isFitted = true;
  #isDue = false;
  #canvas = document.createElement("canvas");

  /**
   * @param {HTMLElement} host  Its whole area is used.
   * @param {ViewOptions} options
   */
  constructor(host, options) {
    super();
    this.host = host;
    this.options = options;
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", options.label);
    this.#canvas.style.cssText = "display: block; width: 100%; height: 100%; touch-action: none";
    host.append(this.#canvas);
    this.#listen();
    new ResizeObserver(() => {
      if (this.#isFitted) this.fit();
      this.redraw();
    }).observe(host);
  }

  /** @param {string} text */
  set label(text) {
    this.#canvas.setAttribute("aria-label", text);
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  resize(width, height) {
    if (width === this.width && height === this.height) return;
    this.width = width;
    this.height = height;
    this.fit();
  }

  /** Show all of the picture. */
  fit() {
    const { clientWidth: w, clientHeight: h } = this.host;
    this.zoom = Math.max(0.01, Math.min(w / this.width, h / this.height));
    this.#left = (w - this.width * this.zoom) / 2;
    this.#top = (h - this.height * this.zoom) / 2;
    this.#isFitted = true;
    this.redraw();
  }

  /**
   * Zoom, keeping the point of the host (CSS pixels) where it is; the middle without one.
   * @param {number} zoom
   * @param {{ x: number, y: number }} [at]
   */
  zoomTo(zoom, at = { x: this.host.clientWidth / 2, y: this.host.clientHeight / 2 }) {
    const before = this.zoom;
    this.zoom = Math.max(0.05, Math.min(ZOOM_MOST, zoom));
    this.#left = at.x - ((at.x - this.#left) * this.zoom) / before;
    this.#top = at.y - ((at.y - this.#top) * this.zoom) / before;
    this.#isFitted = false;
    this.redraw();
  }

  /**
   * Where a point of the picture is in the host, in CSS pixels.
   * @param {number} x
   * @param {number} y
   */
  toHost(x, y) {
    return { x: this.#left + x * this.zoom, y: this.#top + y * this.zoom };
  }

  /**
   * The point of the picture under one of the host, in CSS pixels.
   * @param {number} x
   * @param {number} y
   */
  toPicture(x, y) {
    return { x: (x - this.#left) / this.zoom, y: (y - this.#top) / this.zoom };
  }

  /** Draw with the next animation frame. */
  redraw() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  #draw() {
    const scale = window.devicePixelRatio || 1;
    const canvas = this.#canvas;
    const [w, h] = [this.host.clientWidth, this.host.clientHeight].map((v) => Math.round(v * scale));
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
    }
    const context = canvas.getContext("2d");
    if (!context) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, w, h);
    const z = this.zoom * scale;
    context.setTransform(z, 0, 0, z, this.#left * scale, this.#top * scale);
    context.imageSmoothingEnabled = this.zoom < 2;
    context.imageSmoothingQuality = "high";
    this.options.paint(context, this);
  }

  #listen() {
    const canvas = this.#canvas;
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoomTo(this.zoom * Math.exp(-event.deltaY * 0.0018), { x: event.offsetX, y: event.offsetY });
      },
      { passive: false },
    );
    canvas.addEventListener("dblclick", (event) => {
      if (this.#isFitted) this.zoomTo(1, { x: event.offsetX, y: event.offsetY });
      else this.fit();
    });
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId) && event.buttons) {
        this.#left += event.movementX;
        this.#top += event.movementY;
        if (event.movementX || event.movementY) this.#isFitted = false;
        this.redraw();
      }
      this.#hover(this.toPicture(event.offsetX, event.offsetY));
    });
    canvas.addEventListener("pointerleave", () => this.#hover(null));
  }

  /** @param {{ x: number, y: number } | null} point */
  #hover(point) {
    const inside =
      point && point.x >= 0 && point.y >= 0 && point.x < this.width && point.y < this.height;
    this.cursor = inside ? point : null;
    this.dispatchEvent(new Event("hover"));
  }
}
