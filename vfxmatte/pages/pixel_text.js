"use strict";

/**
 * What is known of the pixel under the cursor.
 * @param {{ x: number, y: number }} point  In the picture.
 * @param {{ size: [number, number], full: [number, number] }} sizes  Of the pictures, of the plate.
 * @param {{ own: Planes, other: Planes | null }} planes
 */
function pixelText(point, sizes, planes) {
  const [width, height] = sizes.size;
  const [x, y] = [Math.floor(point.x), Math.floor(point.y)];
  const [fullX, fullY] = [
    Math.floor((point.x * sizes.full[0]) / width),
    Math.floor((point.y * sizes.full[1]) / height),
  ];
  const at = y * width + x;
  const parts = [`${fullX}, ${fullY}`];
  const { own, other } = planes;
  if (own.plate) parts.push(`rgb ${[0, 1, 2].map((c) => own.plate?.[at * 4 + c]).join(" ")}`);
  if (own.alpha) parts.push(`alpha ${alphaText(own, at)}`);
  if (other?.alpha) parts.push(`other ${alphaText(other, at)}`);
  if (own.labels) parts.push({ 0: "background", 128: "unknown", 255: "foreground" }[own.labels[at]] ?? "");
  return parts.join("   ");
}

/**
 * @param {Planes} planes
 * @param {number} at
 */
function alphaText(planes, at) {
  const value = planes.alpha?.[at] ?? 0;
  const isExact = planes.monitor?.[at] !== 128;
  return isExact ? String(value / 255) : (value / 255).toFixed(2);
}
