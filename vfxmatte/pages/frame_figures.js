"use strict";
/* The figures of frames: lanes of the film strip, and lists beside the picture. */

/**
 * @typedef {object} FrameData
 * @property {number} number
 * @property {boolean} keyframe
 * @property {string[]} planes  See frame_store.js.
 * @property {Record<string, number | null>} values  By the checks' names.
 * @property {{ check: string, text: string, severity: number }[]} flags  Why it is flagged.
 * @property {string[]} problems  What is missing.
 * @property {number | null} rank  1 for the worst of the flagged frames.
 *
 * @typedef {object} CheckData
 * @property {string} name
 * @property {string} means
 */

/**
 * @param {FrameData[]} frames
 * @returns {Lane[]}
 */
function lanesOf(frames) {
  /** @param {string} name */
  const highest = (name) => Math.max(1e-9, ...frames.map((frame) => frame.values[name] ?? 0));
  /**
   * @param {string} name
   * @param {number} most
   * @returns {Lane}
   */
  const bars = (name, most) => ({
    name,
    kind: "bars",
    colour: `--lane-${name}`,
    values: frames.map((frame) => {
      const value = frame.values[name];
      return value === null || value === undefined ? null : value / most;
    }),
    describe: (index) => {
      const value = frames[index].values[name];
      return value === null || value === undefined ? "" : `${name} ${figureText(value)}`;
    },
  });
  return [
    {
      name: "keyframe",
      kind: "marks",
      colour: "--lane-keyframe",
      values: frames.map((frame) => Number(frame.keyframe)),
    },
    bars("unknown", highest("unknown")),
    bars("confidence", 1),
    bars("flicker", highest("flicker")),
    {
      name: "flagged",
      kind: "bars",
      colour: "--lane-warning",
      values: frames.map((frame) => {
        if (frame.rank === null) return frame.problems.length ? 1 : 0;
        return Math.min(1, 0.4 + 0.15 * Math.max(...frame.flags.map((flag) => flag.severity)));
      }),
      describe: (index) =>
        [...frames[index].problems, ...frames[index].flags.map((flag) => flag.text)].join("\n"),
    },
  ];
}

/**
 * Show why a frame is flagged, and its figures.
 * @param {FrameData} frame
 * @param {CheckData[]} checks
 */
function describeFrame(frame, checks) {
  element("frame-title").textContent = `${frame.number}${frame.keyframe ? " · keyframe" : ""}`;
  const warnings = [...frame.problems, ...frame.flags.map((flag) => flag.text)];
  const items = warnings.map((text) => textElement("li", text));
  if (!items.length) {
    items.push(textElement("li", "nothing found"));
    items[0].className = "fine";
  }
  element("warnings").replaceChildren(...items);
  const bad = new Set(frame.flags.map((flag) => flag.check));
  const rows = checks.map((check) => {
    const row = document.createElement("tr");
    const value = frame.values[check.name];
    row.append(textElement("td", check.name), textElement("td", value === null ? "–" : figureText(value)));
    row.title = check.means;
    row.className = bad.has(check.name) ? "bad" : "";
    return row;
  });
  document.querySelector("#values tbody")?.replaceChildren(...rows);
  for (const button of document.querySelectorAll("#flagged button")) {
    const isHere = button.getAttribute("data-number") === String(frame.number);
    button.setAttribute("aria-pressed", String(isHere));
  }
}

/**
 * @param {FrameData[]} flagged  The worst first.
 * @param {(frame: FrameData) => void} select
 */
function listFlagged(flagged, select) {
  const count = flagged.length;
  element("flagged-title").textContent = count ? `Flagged: ${count}` : "No frame is flagged";
  element("flagged-hint").hidden = !count;
  element("flagged").replaceChildren(
    ...flagged.map((frame) => {
      const button = toggle("", frame.flags.map((flag) => flag.text).join("\n"));
      button.dataset.number = String(frame.number);
      button.append(textElement("strong", String(frame.number)), textElement("span", frame.flags[0]?.text ?? ""));
      button.addEventListener("click", () => select(frame));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}

/** @param {number} value */
function figureText(value) {
  if (value === 0) return "0";
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return Number(value.toPrecision(value < 0.001 ? 1 : 3)).toString();
}
