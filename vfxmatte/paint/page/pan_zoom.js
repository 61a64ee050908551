"use strict";

/** Where the picture lies on the screen: screen = picture × scale + (left, top). */
class PanZoom extends EventTarget {
  scale = 1;
  left = 0;
  top = 0;
  isFitted = false; // all of the picture is shown, and stays so when panes change their size
  static MOST = 40;

  /**
   * @param {number} width  Of the picture.
   * @param {number} height
   */
  constructor(width, height) {
    super();
    this.width = width;
    this.height = height;
  }

  /**
   * @param {number} x  On screen.
   * @param {number} y
   */
  toPicture(x, y) {
    return { x: (x - this.left) / this.scale, y: (y - this.top) / this.scale };
  }

  /**
   * Zoom, with the point under the cursor staying where it is.
   * @param {number} factor
   * @param {number} x  On screen.
   * @param {number} y
   */
  zoom(factor, x, y) {
    const scale = Math.min(PanZoom.MOST, Math.max(0.02, this.scale * factor));
    const at = this.toPicture(x, y);
    this.isFitted = false;
    this.scale = scale;
    this.left = x - at.x * scale;
    this.top = y - at.y * scale;
    this.changed();
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  pan(dx, dy) {
    this.isFitted = false;
    this.left += dx;
    this.top += dy;
    this.changed();
  }

  /**
   * Show all of the picture in a pane of this size.
   * @param {number} width
   * @param {number} height
   */
  fit(width, height) {
    this.isFitted = true;
    this.scale = Math.min((width - 16) / this.width, (height - 16) / this.height);
    this.left = (width - this.width * this.scale) / 2;
    this.top = (height - this.height * this.scale) / 2;
    this.changed();
  }

  /**
   * The part of the picture that a pane shows, in whole pixels; null if it shows none.
   * @param {number} width  Of the pane.
   * @param {number} height
   * @returns {Rectangle | null}
   */
  visible(width, height) {
    const from = this.toPicture(0, 0);
    const to = this.toPicture(width, height);
    const x = Math.max(0, Math.floor(from.x));
    const y = Math.max(0, Math.floor(from.y));
    const right = Math.min(this.width, Math.ceil(to.x));
    const bottom = Math.min(this.height, Math.ceil(to.y));
    return right > x && bottom > y ? { x, y, width: right - x, height: bottom - y } : null;
  }

  /**
   * How often the picture may be halved and still hold what the screen shows.
   * @param {number} levels  How many sizes there are.
   */
  level(levels) {
    const level = Math.floor(Math.log2(1 / this.scale) + 0.01);
    return Math.max(0, Math.min(levels - 1, level));
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * Zoom by the wheel, to the cursor.
 * @param {HTMLElement} host
 * @param {PanZoom} view
 * @param {Pane} pane
 */
function listenToWheel(host, view, pane) {
  host.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const at = pane.place(event);
      const lines = event.deltaMode === 1 ? 33 : 1;
      view.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), at.x, at.y);
    },
    { passive: false },
  );
}

/**
 * Lay an element over a rectangle of the picture; hide it where there is none.
 * @param {HTMLElement} frame
 * @param {Rectangle | null} area
 * @param {PanZoom} view
 */
function layOver(frame, area, view) {
  frame.hidden = !area;
  if (!area) return;
  const ratio = window.devicePixelRatio || 1;
  const { style } = frame;
  style.left = `${(view.left + area.x * view.scale) / ratio}px`;
  style.top = `${(view.top + area.y * view.scale) / ratio}px`;
  style.width = `${(area.width * view.scale) / ratio}px`;
  style.height = `${(area.height * view.scale) / ratio}px`;
}
