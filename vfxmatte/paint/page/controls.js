"use strict";
/*
 * The paint page's buttons, sliders and keys.
 */

const COLOURS = { 0: "#2f6bff", 128: "#ffd21f", 255: "#19b26b" };
const GROUNDS = ["checker", "black", "white", "grey", "colour", "alpha"];
const NUDGE = 1.18; // of the brush's size, by a key
const PAINT_KEYS = [
  ["1 2 3", "paint background, unknown, foreground"],
  ["B E D G M", "brush, eraser, edge, fill, box"],
  ["[ ]", "size; or drag with Ctrl or Alt"],
  ["{ }", "soft edge"],
  ["Shift + click", "a line from the end of the last stroke"],
  ["+ −", "unknown band wider, narrower"],
  ["Ctrl Z, Ctrl Shift Z", "undo, redo"],
  ["Ctrl S", "save as keyframe"],
  ["← →, , .", "frame before, after; keyframe before, after"],
  ["Wheel, Space + drag", "zoom to the cursor, pan"],
  ["F, H", "show all, pixel for pixel"],
  ["O, V", "overlay on and off; what is behind the matte"],
  ["Alt + arrows, Enter", "move the brush and paint without a pointer; begin and end a box, an edge"],
];

/** @param {string} name */
const input = (name) => /** @type {HTMLInputElement} */ (element(name));
/** @param {string} name */
const button = (name) => /** @type {HTMLButtonElement} */ (element(name));

/** The page's buttons, sliders and keys. */
class Controls {
  /** @param {PaintPage} page */
  constructor(page) {
    this.page = page;
    this.easel = page.easel;
    this.preferences = page.preferences;
    this.#tools();
    this.#brush();
    this.#overlay();
    this.#plate();
    this.#result();
    this.#actions();
    this.#help();
    addEventListener("keydown", (event) => this.#key(event));
    // Keys are the brush's again once a control has been used by the pointer.
    document.addEventListener("click", (event) => {
      const used = /** @type {Element} */ (event.target).closest("button, input:not([type=color])");
      if (event.detail && used && !used.closest("dialog")) element("paint").focus({ preventScroll: true });
    });
    this.showTool();
    this.showZoom();
  }

  #tools() {
    for (const one of buttonsIn("labels")) {
      one.addEventListener("click", () => this.#label(Number(one.dataset.label)));
    }
    for (const one of buttonsIn("tools")) {
      one.addEventListener("click", () => this.#tool(/** @type {Tool} */ (one.dataset.tool)));
    }
  }

  /** @param {number} label */
  #label(label) {
    this.easel.label = label;
    if (this.easel.tool !== "fill") this.easel.tool = "brush";
    this.showTool();
  }

  /** @param {Tool} tool */
  #tool(tool) {
    this.easel.tool = tool;
    this.showTool();
  }

  #brush() {
    const { easel } = this;
    easel.size = Number(this.preferences.get("size", String(Math.max(4, this.page.shot.height / 45))));
    easel.soft = Number(this.preferences.get("soft", "0"));
    easel.usesPressure = this.preferences.get("pressure", "true") === "true";
    input("pressure").checked = easel.usesPressure;
    input("size").addEventListener("input", () => easel.resize(0.5 * 2000 ** (Number(input("size").value) / 100)));
    input("soft").addEventListener("input", () => {
      easel.soft = Number(input("soft").value) / 100;
      this.showTool();
    });
    input("pressure").addEventListener("change", () => {
      easel.usesPressure = input("pressure").checked;
      this.preferences.set("pressure", easel.usesPressure);
    });
  }

  #overlay() {
    const { easel } = this;
    input("opacity").value = this.preferences.get("opacity", "42");
    const show = () => {
      const value = input("opacity").value;
      easel.overlay.style.opacity = String(Number(value) / 100);
      element("opacity-text").textContent = `${value} %`;
      this.preferences.set("opacity", value);
    };
    input("opacity").addEventListener("input", show);
    show();
    for (const [label, usual] of Object.entries(COLOURS)) {
      const one = /** @type {HTMLInputElement} */ (document.querySelector(`[data-colour="${label}"]`));
      const swatch = /** @type {HTMLElement} */ (document.querySelector(`[data-label="${label}"] i`));
      one.value = this.preferences.get(`colour.${label}`, usual);
      const paint = () => {
        easel.colour(Number(label), one.value);
        swatch.style.background = one.value;
        this.preferences.set(`colour.${label}`, one.value);
      };
      one.addEventListener("input", paint);
      paint();
    }
  }

  #plate() {
    const { plate, shot } = this.page;
    const views = /** @type {HTMLSelectElement} */ (element("view"));
    for (const name of shot.views) views.add(new Option(name || "sRGB", name));
    plate.view = shot.views[0];
    const show = () => {
      plate.view = views.value;
      plate.stops = Number(input("exposure").value);
      const sign = plate.stops > 0 ? "+" : "";
      element("exposure-text").textContent = `${sign}${plate.stops.toFixed(2)}`;
      this.page.paintPane.redraw();
      this.page.resultPane.redraw();
    };
    views.addEventListener("change", () => {
      element("paint").focus({ preventScroll: true });
      show();
      this.page.strip.refresh();
    });
    input("exposure").addEventListener("input", show);
    input("exposure").addEventListener("dblclick", () => {
      input("exposure").value = "0";
      show();
    });
    show();
  }

  #result() {
    const host = element("result");
    const { view, resultPane } = this.page;
    for (const one of buttonsIn("grounds")) {
      one.addEventListener("click", () => this.#ground(/** @type {string} */ (one.dataset.ground)));
    }
    input("ground").addEventListener("input", () => this.#ground("colour"));
    listenToWheel(host, view, resultPane);
    let last = { x: 0, y: 0 };
    host.addEventListener("pointerdown", (event) => {
      host.setPointerCapture(event.pointerId);
      last = resultPane.place(event);
    });
    host.addEventListener("pointermove", (event) => {
      if (!host.hasPointerCapture(event.pointerId)) return;
      const at = resultPane.place(event);
      view.pan(at.x - last.x, at.y - last.y);
      last = at;
    });
    this.#ground(this.preferences.get("ground", "checker"));
  }

  /** @param {string} ground */
  #ground(ground) {
    const host = element("result");
    host.dataset.ground = ground;
    host.style.background = ground === "colour" ? input("ground").value : "";
    this.preferences.set("ground", ground);
    for (const one of buttonsIn("grounds")) press(one, one.dataset.ground === ground);
    this.page.resultPane.redraw();
  }

  #actions() {
    const { page } = this;
    button("undo").addEventListener("click", () => this.#undo(false));
    button("redo").addEventListener("click", () => this.#undo(true));
    button("save").addEventListener("click", () => page.save());
    button("run").addEventListener("click", () => page.run());
    button("review").addEventListener("click", () => page.review());
    button("cancel").addEventListener("click", () => {
      page.connection.request("cancel");
      element("run-text").textContent = "ends with this frame …";
    });
    button("grow").addEventListener("click", () => this.#grow(1));
    button("shrink").addEventListener("click", () => this.#grow(-1));
    button("fit").addEventListener("click", () => this.#fit());
    button("full").addEventListener("click", () => this.#full());
    for (const one of buttonsIn("guesses")) {
      const method = /** @type {string} */ (one.dataset.guess);
      const name = /** @type {string} */ (one.textContent).trim();
      one.addEventListener("click", () => this.#guess(method, name));
    }
  }

  /**
   * Make a first trimap; without a box that it needs, once the box is drawn.
   * @param {string} method
   * @param {string} name
   */
  #guess(method, name) {
    const { easel, page } = this;
    if ((method === "grabcut" || method === "box") && !easel.box) {
      this.#tool("box");
      page.say(`${name}: draw a box around the subject`);
      easel.addEventListener("box", () => easel.box && this.#guess(method, name), { once: true });
      return;
    }
    page.change("guess", { method, ...(easel.box ?? {}) }, name);
    easel.box = null;
    if (easel.tool === "box") this.#tool("brush");
  }

  /** @param {boolean} again */
  #undo(again) {
    this.easel.undo(again);
    this.showFrame();
  }

  /** @param {number} px */
  #grow(px) {
    this.page.change("grow", { px }, px > 0 ? "band wider" : "band narrower");
  }

  #fit() {
    this.page.view.fit(this.page.paintPane.width, this.page.paintPane.height);
  }

  #full() {
    const { view, paintPane } = this.page;
    view.zoom(1 / view.scale, paintPane.width / 2, paintPane.height / 2);
  }

  #help() {
    const dialog = /** @type {HTMLDialogElement} */ (element("keys"));
    const list = /** @type {HTMLElement} */ (dialog.querySelector("dl"));
    for (const [keys, text] of PAINT_KEYS) {
      const term = document.createElement("dt");
      term.append(textElement("kbd", keys));
      list.append(term, textElement("dd", text));
    }
    button("help").addEventListener("click", () => dialog.showModal());
  }

  // -- keys ------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.defaultPrevented || isTyping(event) || document.querySelector("dialog[open]")) return;
    const action = event.ctrlKey || event.metaKey ? this.#withControl(event) : this.#plain(event);
    if (!action) return;
    event.preventDefault();
    action();
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {(() => void) | undefined}
   */
  #withControl(event) {
    const key = event.key.toLowerCase();
    if (key === "z") return () => this.#undo(event.shiftKey);
    if (key === "y") return () => this.#undo(true);
    if (key === "s") return () => this.page.save();
    return undefined;
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {(() => void) | undefined}
   */
  #plain(event) {
    if (event.altKey) return undefined;
    const { easel, page } = this;
    const { strip } = page;
    /** @type {Record<string, () => void>} */
    const actions = {
      1: () => this.#label(BACKGROUND),
      2: () => this.#label(UNKNOWN),
      3: () => this.#label(FOREGROUND),
      b: () => this.#tool("brush"),
      e: () => this.#tool("eraser"),
      d: () => this.#tool("edge"),
      g: () => this.#tool("fill"),
      m: () => this.#tool("box"),
      "[": () => easel.resize(easel.size / NUDGE),
      "]": () => easel.resize(easel.size * NUDGE),
      "{": () => this.#soften(-0.1),
      "}": () => this.#soften(0.1),
      "+": () => this.#grow(1),
      "=": () => this.#grow(1),
      "-": () => this.#grow(-1),
      f: () => this.#fit(),
      h: () => this.#full(),
      o: () => (easel.overlay.hidden = !easel.overlay.hidden),
      v: () => this.#nextGround(),
      "?": () => button("help").click(),
      arrowleft: () => strip.select(strip.index - 1),
      arrowright: () => strip.select(strip.index + 1),
      ",": () => page.toKeyframe(-1),
      ".": () => page.toKeyframe(1),
    };
    return actions[event.key.toLowerCase()];
  }

  #nextGround() {
    const now = GROUNDS.indexOf(element("result").dataset.ground ?? "");
    this.#ground(GROUNDS[(now + 1) % GROUNDS.length]);
  }

  /** @param {number} more */
  #soften(more) {
    this.easel.soft = Math.min(0.9, Math.max(0, Math.round((this.easel.soft + more) * 100) / 100));
    this.showTool();
  }

  // -- what is shown ---------------------------------------------------------------------------

  showTool() {
    const { easel } = this;
    for (const one of buttonsIn("labels")) {
      const uses = easel.tool === "brush" || easel.tool === "fill";
      press(one, uses && Number(one.dataset.label) === easel.label);
    }
    for (const one of buttonsIn("tools")) press(one, one.dataset.tool === easel.tool);
    element("paint").dataset.tool = easel.tool;
    input("size").value = String((100 * Math.log(easel.size / 0.5)) / Math.log(2000));
    element("size-text").textContent = `${(2 * easel.size).toFixed(easel.size < 5 ? 1 : 0)} px`;
    input("soft").value = String(Math.round(easel.soft * 100));
    element("soft-text").textContent = easel.soft ? `${Math.round(easel.soft * 100)} %` : "hard";
    this.preferences.set("size", easel.size);
    this.preferences.set("soft", easel.soft);
    easel.placeBrush();
  }

  showFrame() {
    const frame = this.easel.frame;
    if (!frame) return;
    const { shot } = this.page;
    element("frame").textContent = String(frame.number);
    const names = { keyframe: "keyframe", propagated: "propagated trimap", nothing: "no trimap yet" };
    const name = names[/** @type {keyof typeof names} */ (frame.source)];
    element("source").textContent = frame.isSaved ? name : `${name} · painted, not saved`;
    button("save").dataset.due = String(!frame.isSaved);
    button("undo").disabled = !frame.history.canUndo;
    button("redo").disabled = !frame.history.canRedo;
    const keyframes = /** @type {number[]} */ (shot.keyframes);
    for (const one of buttonsIn("guesses")) {
      const method = one.dataset.guess;
      if (method === "previous") one.disabled = !keyframes.some((n) => n < frame.number);
      if (method === "next") one.disabled = !keyframes.some((n) => n > frame.number);
    }
    button("review").disabled = !shot.mattes.length;
    button("run").disabled = this.page.isRunning || !(keyframes.length || this.page.unsaved.length);
    this.page.showMarks();
  }

  showZoom() {
    element("zoom").textContent = `${(100 * this.page.view.scale).toFixed(0)} %`;
  }

  showLive() {
    const { live } = this.page;
    const time = live.seconds === null ? "" : `matte in ${live.seconds.toFixed(2)} s`;
    element("live").textContent = live.isBusy ? "matte …" : time;
  }
}

/**
 * @param {string} name
 * @returns {HTMLButtonElement[]}
 */
function buttonsIn(name) {
  return [...element(name).querySelectorAll("button")];
}

/**
 * @param {HTMLButtonElement} one
 * @param {boolean} isPressed
 */
function press(one, isPressed) {
  one.setAttribute("aria-pressed", String(isPressed));
}

/**
 * True where a key belongs to a control: text, sliders, selects.
 * @param {KeyboardEvent} event
 */
function isTyping(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (target instanceof HTMLInputElement) return !["checkbox", "color"].includes(target.type);
  return target instanceof HTMLSelectElement;
}
