"use strict";
/** One side of a comparison: a picture of the frames' size. */
class Side {
  /** @type {HTMLCanvasElement | null} */ canvas = null;
  /** @type {Look | null} */ #look = null;
  #settings = "";

  /**
   * @param {Planes} planes
   * @param {LookSettings} settings
   */
  draw(planes, settings) {
    const text = JSON.stringify(settings);
    if (!this.#look || text !== this.#settings) this.#look = new Look({ ...settings });
    this.#settings = text;
    const image = new ImageData(planes.width, planes.height);
    const isShown = this.#look.draw(planes, image);
    this.canvas ??= Object.assign(document.createElement("canvas"), {
      width: planes.width,
      height: planes.height,
    });
    this.canvas.getContext("2d")?.putImageData(image, 0, 0);
    return isShown;
  }
}
