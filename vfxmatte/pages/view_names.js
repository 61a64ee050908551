"use strict";
/* The names of the views, and what each shows. */

/** @type {Record<View, string>} */
const VIEW_NAMES = {
  plate: "plate",
  trimap: "trimap",
  alpha: "alpha",
  composite: "comp",
  foreground: "foreground",
  difference: "difference",
  monitor: "monitor",
};

/** @type {Record<View, string>} */
const VIEW_HELP = {
  plate: "The plate",
  trimap: "The plate, tinted: blue background, yellow unknown, green foreground",
  alpha: "The matte",
  composite: "The subject over the background",
  foreground: "The foreground's own colour where the matte is not empty; without one, the plate times alpha",
  difference: `What has changed since the previous frame, motion taken out, ×${DIFFERENCE_GAIN}`,
  monitor: "Matte monitor: all that is not exactly 0 or 1 is grey",
};
