"use strict";
/*
 * Pictures for judging a matte, computed on the processor: plate, trimap, alpha, composite,
 * foreground, difference, matte monitor. Compositing is done in linear light.
 *
 *   const look = new Look({ view: "composite", background: "checker", gain: 1, gamma: 1 });
 *   look.draw(planes, imageData);
 */

/**
 * @typedef {object} Planes  One frame; absent planes are null.
 * @property {number} width
 * @property {number} height
 * @property {Uint8ClampedArray | null} plate  RGBA, sRGB.
 * @property {Uint8ClampedArray | null} foreground  RGBA, sRGB, not multiplied; null: the
 *   plate's colour stands in.
 * @property {Uint8Array | null} alpha  Exactly 0 and 255 where the matte is exactly 0 and 1.
 * @property {Uint8Array | null} monitor  0, 128, 255.
 * @property {Uint8Array | null} labels  0, 128, 255.
 * @property {Uint8Array | null} difference
 *
 * @typedef {"plate" | "trimap" | "alpha" | "composite" | "foreground" | "difference" | "monitor"} View
 * @typedef {"black" | "white" | "grey" | "checker" | "colour" | "plate"} Background
 *
 * @typedef {object} LookSettings
 * @property {View} view
 * @property {Background} background
 * @property {[number, number, number]} colour  Of the background "colour", sRGB, 0 to 255.
 * @property {number} gain
 * @property {number} gamma
 */

/** @type {View[]} */
const VIEWS = ["plate", "trimap", "alpha", "composite", "foreground", "difference", "monitor"];

/** @type {Background[]} */
const BACKGROUNDS = ["black", "white", "grey", "checker", "colour", "plate"];

/** Differences are small: shown this many times as bright. */
const DIFFERENCE_GAIN = 4;

const CHECKER_PX = 16;
const CHECKER_LINEAR = [0.09, 0.25];
const GREY_LINEAR = 0.18;

/** Tints of background, unknown and foreground: sRGB and opacity. */
const TINTS = new Map([
  [0, { colour: [38, 64, 230], opacity: 0.35 }],
  [128, { colour: [255, 204, 26], opacity: 0.5 }],
  [255, { colour: [51, 230, 77], opacity: 0.25 }],
]);

/** Linear light of an sRGB value from 0 to 255. */
const LINEAR = Float32Array.from({ length: 256 }, (_, i) => {
  const v = i / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
});

/**
 * sRGB, 0 to 1, of linear light.
 * @param {number} v
 */
function encodeSrgb(v) {
  return v <= 0.0031308 ? v * 12.92 : 1.055 * v ** (1 / 2.4) - 0.055;
}

const STEPS = 65535;

/** How frames are looked at; makes tables for gain and gamma once. */
class Look {
  /** @param {LookSettings} settings */
  constructor(settings) {
    this.settings = settings;
    const { gain, gamma } = settings;
    /** @param {number} v */
    const adjusted = (v) => Math.round(255 * Math.min(1, Math.max(0, v)) ** (1 / gamma));
    /** From linear light, 0 to STEPS, to the display. */
    this.fromLinear = Uint8Array.from({ length: STEPS + 1 }, (_, i) =>
      adjusted(encodeSrgb(Math.min(1, (i / STEPS) * gain))),
    );
    /** From a plain value, 0 to 255, to the display. */
    this.fromValue = Uint8Array.from({ length: 256 }, (_, i) => adjusted((i / 255) * gain));
  }

  /**
   * Draw a frame as RGBA; false where the frame lacks what the view needs.
   * @param {Planes} planes
   * @param {ImageData} image  Of the planes' size.
   */
  draw(planes, image) {
    const out = image.data;
    switch (this.settings.view) {
      case "plate":
        return this.#colour(planes.plate, null, out);
      case "trimap":
        return this.#trimap(planes, out);
      case "alpha":
        return this.#value(planes.alpha, this.fromValue, out);
      case "difference":
        return this.#value(planes.difference, this.#amplified(), out);
      case "monitor":
        return this.#value(planes.monitor, null, out);
      case "foreground":
        return planes.foreground
          ? this.#colour(planes.foreground, planes.alpha, out)
          : this.#composite(planes, out, "black");
      case "composite":
        return this.#composite(planes, out, this.settings.background);
    }
  }

  #amplified() {
    const table = this.fromValue;
    return Uint8Array.from({ length: 256 }, (_, i) => table[Math.min(255, i * DIFFERENCE_GAIN)]);
  }

  /**
   * @param {Uint8Array | null} plane
   * @param {Uint8Array | null} table
   * @param {Uint8ClampedArray} out
   */
  #value(plane, table, out) {
    if (!plane) return false;
    for (let i = 0, o = 0; i < plane.length; i++, o += 4) {
      const v = table ? table[plane[i]] : plane[i];
      out[o] = out[o + 1] = out[o + 2] = v;
      out[o + 3] = 255;
    }
    return true;
  }

  /**
   * @param {Uint8ClampedArray | null} pixels
   * @param {Uint8Array | null} where  Black where this is 0.
   * @param {Uint8ClampedArray} out
   */
  #colour(pixels, where, out) {
    if (!pixels) return false;
    const table = Uint8Array.from(LINEAR, (v) => this.fromLinear[Math.round(v * STEPS)]);
    for (let o = 0; o < pixels.length; o += 4) {
      const shown = !where || where[o >> 2] > 0;
      out[o] = shown ? table[pixels[o]] : 0;
      out[o + 1] = shown ? table[pixels[o + 1]] : 0;
      out[o + 2] = shown ? table[pixels[o + 2]] : 0;
      out[o + 3] = 255;
    }
    return true;
  }

  /**
   * @param {Planes} planes
   * @param {Uint8ClampedArray} out
   */
  #trimap({ plate, labels }, out) {
    if (!labels) return false;
    for (let i = 0, o = 0; i < labels.length; i++, o += 4) {
      const grey = plate ? ((plate[o] + plate[o + 1] + plate[o + 2]) / 3) * 0.8 : 90;
      const tint = TINTS.get(labels[i]) ?? { colour: [255, 0, 255], opacity: 1 };
      for (let c = 0; c < 3; c++) {
        out[o + c] = grey * (1 - tint.opacity) + tint.colour[c] * tint.opacity;
      }
      out[o + 3] = 255;
    }
    return true;
  }

  /**
   * @param {Planes} planes
   * @param {Uint8ClampedArray} out
   * @param {Background} background
   */
  #composite({ width, plate, foreground, alpha }, out, background) {
    const colour = foreground ?? plate;
    if (!colour || !alpha) return false;
    const flat = this.#flat(background);
    const table = this.fromLinear;
    for (let i = 0, o = 0; i < alpha.length; i++, o += 4) {
      const a = alpha[i] / 255;
      let behind = flat;
      if (background === "checker") {
        const x = i % width;
        const y = (i - x) / width;
        behind = CHECKERS[((x / CHECKER_PX) ^ (y / CHECKER_PX)) & 1];
      }
      for (let c = 0; c < 3; c++) {
        const under = background === "plate" && plate ? LINEAR[plate[o + c]] : behind[c];
        const mixed = LINEAR[colour[o + c]] * a + under * (1 - a);
        out[o + c] = table[(mixed * STEPS) | 0];
      }
      out[o + 3] = 255;
    }
    return true;
  }

  /**
   * @param {Background} background
   * @returns {number[]}
   */
  #flat(background) {
    const { colour } = this.settings;
    if (background === "white") return [1, 1, 1];
    if (background === "grey") return [GREY_LINEAR, GREY_LINEAR, GREY_LINEAR];
    if (background === "colour") return colour.map((v) => LINEAR[v]);
    return [0, 0, 0];
  }
}

const CHECKERS = CHECKER_LINEAR.map((v) => [v, v, v]);
