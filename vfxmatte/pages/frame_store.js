"use strict";
/*
 * The pictures of a page's frames, embedded as text: decoded when they are looked at, and the last
 * ones kept. The text of a plane stands in `<script type="text/plain" id="1007-plate">`, WebP in
 * base64.
 */

/**
 * @typedef {object} StoredFrame
 * @property {number} number
 * @property {string[]} planes  Names: plate, alpha, monitor, trimap, foreground, difference;
 *   those of the other take begin with `other-`.
 */

const FRAMES_KEPT = 16;

class FrameStore {
  /** @type {Map<number, Promise<{ own: Planes, other: Planes | null }>>} */ #kept = new Map();

  /**
   * @param {StoredFrame[]} frames
   * @param {[number, number]} size  Width and height of every picture.
   */
  constructor(frames, size) {
    this.frames = frames;
    this.size = size;
  }

  /** The number of frames that are decoded at present. */
  get kept() {
    return this.#kept.size;
  }

  /**
   * A frame's planes, of both takes where there are two.
   * @param {number} index
   */
  get(index) {
    const kept = this.#kept.get(index);
    if (kept) this.#kept.delete(index);
    const planes = kept ?? this.#read(index);
    this.#kept.set(index, planes);
    if (this.#kept.size > FRAMES_KEPT) {
      const oldest = this.#kept.keys().next().value;
      if (oldest !== undefined) this.#kept.delete(oldest);
    }
    return planes;
  }

  /**
   * The plate as a bitmap of this height; null without a plate.
   * @param {number} index
   * @param {number} height
   */
  async thumbnail(index, height) {
    const frame = this.frames[index];
    if (!frame.planes.includes("plate")) return null;
    const blob = await this.#blob(`${frame.number}-plate`);
    return createImageBitmap(blob, { resizeHeight: height, resizeQuality: "medium" });
  }

  /** @param {number} index */
  async #read(index) {
    const { planes } = this.frames[index];
    const own = this.#take(index, "");
    const other = planes.some((name) => name.startsWith("other-")) ? this.#take(index, "other-") : null;
    return { own: await own, other: await other };
  }

  /**
   * @param {number} index
   * @param {string} take  Before the planes' names.
   * @returns {Promise<Planes>}
   */
  async #take(index, take) {
    const [width, height] = this.size;
    const pixels = await Promise.all([
      this.#pixels(index, "plate"),
      this.#pixels(index, `${take}foreground`),
      this.#pixels(index, `${take}alpha`),
      this.#pixels(index, `${take}monitor`),
      this.#pixels(index, `${take}trimap`),
      this.#pixels(index, `${take}difference`),
    ]);
    const [plate, foreground] = pixels;
    const [alpha, monitor, labels, difference] = pixels.slice(2).map((one) => one && channel(one));
    return {
      width,
      height,
      plate,
      foreground,
      alpha: alpha && exactly(alpha, monitor),
      monitor,
      labels,
      difference,
    };
  }

  /**
   * @param {number} index
   * @param {string} plane
   */
  async #pixels(index, plane) {
    const frame = this.frames[index];
    if (!frame.planes.includes(plane)) return null;
    const blob = await this.#blob(`${frame.number}-${plane}`);
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
    const canvas = new OffscreenCanvas(...this.size);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("this browser has no 2D canvas");
    context.imageSmoothingEnabled = !/(monitor|trimap)$/.test(plane);
    context.drawImage(bitmap, 0, 0, ...this.size);
    bitmap.close();
    return context.getImageData(0, 0, ...this.size).data;
  }

  /** @param {string} id */
  async #blob(id) {
    const text = (await embedded(id)).textContent?.trim() ?? "";
    const binary = atob(text);
    const bytes = Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
    return new Blob([bytes], { type: "image/webp" });
  }
}

/**
 * An element by its id; while the page is still being parsed, it may be yet to come.
 * @param {string} id
 * @returns {Promise<Element>}
 */
async function embedded(id) {
  for (;;) {
    const isComplete = document.readyState !== "loading";
    const element = document.getElementById(id);
    // An element with a successor has been parsed to its end.
    if (element && (isComplete || element.nextElementSibling)) return element;
    if (isComplete) throw new Error(`this page lacks ${id}: it is not whole`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

/**
 * The one value of grey pixels.
 * @param {Uint8ClampedArray} pixels  RGBA.
 */
function channel(pixels) {
  const plane = new Uint8Array(pixels.length / 4);
  for (let i = 0, o = 1; i < plane.length; i++, o += 4) plane[i] = pixels[o];
  return plane;
}

/**
 * Put alpha right where the picture format has lost what the matte has exactly.
 * @param {Uint8Array} alpha
 * @param {Uint8Array | null} monitor
 */
function exactly(alpha, monitor) {
  if (!monitor) return alpha;
  for (let i = 0; i < alpha.length; i++) if (monitor[i] !== 128) alpha[i] = monitor[i];
  return alpha;
}
