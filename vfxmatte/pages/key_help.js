"use strict";
/* What the keys of the review page do. */

const KEYS = [
  ["← →", "frame before, frame after"],
  ["Home End", "first, last frame"],
  ["N P", "next, previous flagged frame, worst first"],
  ["Space", "play"],
  ["1 … 7", "plate, trimap, alpha, composite, foreground, difference, matte monitor"],
  ["B", "next background (Shift: the one before)"],
  ["G", "gain ×8 into the blacks, and back"],
  ["R", "gain and gamma back to 1"],
  ["W", "wipe between A and B"],
  ["X", "B instead of A, and back"],
  ["+ − F Z", "zoom in, out, fit, 1:1; the wheel zooms to the cursor"],
];
