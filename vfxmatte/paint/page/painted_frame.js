"use strict";

/** One frame on the easel: its labels, what the eraser brings back, and what can be undone. */
class PaintedFrame {
  history = new PaintHistory();
  changes = 0; // how often it has been painted on
  isStale = false; // a run has been since it was fetched

  /**
   * @param {number} number
   * @param {Labels} labels
   * @param {Labels} base
   * @param {string} source  "keyframe", "propagated" or "nothing".
   * @param {boolean} isSaved
   */
  constructor(number, labels, base, source, isSaved) {
    this.number = number;
    this.labels = labels;
    this.base = base;
    this.source = source;
    this.isSaved = isSaved;
  }
}
