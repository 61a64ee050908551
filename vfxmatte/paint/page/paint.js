"use strict";
/*
 * The paint page: its controls, the frames of the shot, saving and running.
 */
{
  const COLOURS = { 0: "#2f6bff", 128: "#ffd21f", 255: "#19b26b" };
  const GROUNDS = ["checker", "black", "white", "grey", "colour", "alpha"];
  const KEPT_FRAMES = 6; // with what can be undone
  const SETTLED_MS = 180; // after a view change, until what has come into view is solved
  const NUDGE = 1.18; // of the brush's size, by a key
  const KEYS = [
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
    ["Alt + arrows, Enter", "move the brush and paint without a pointer"],
  ];

  /**
   * @template {HTMLElement} [T=HTMLElement]
   * @param {string} name
   * @returns {T}
   */
  const element = (name) => /** @type {T} */ (document.getElementById(name));
  /** @param {string} name */
  const input = (name) => /** @type {HTMLInputElement} */ (element(name));
  /** @param {string} name */
  const button = (name) => /** @type {HTMLButtonElement} */ (element(name));

  /** What the artist has set, kept by the server for the next time. */
  class Preferences {
    /** @type {Map<string, number>} */ #due = new Map();

    /**
     * @param {Record<string, string>} values
     * @param {Connection} connection
     */
    constructor(values, connection) {
      this.values = values;
      this.connection = connection;
    }

    /**
     * @param {string} name
     * @param {string} usual
     */
    get(name, usual) {
      return this.values[name] ?? usual;
    }

    /**
     * Keep a value, once it stays for a while.
     * @param {string} name
     * @param {string | number | boolean} value
     */
    set(name, value) {
      if (this.values[name] === String(value)) return;
      this.values[name] = String(value);
      clearTimeout(this.#due.get(name));
      const keep = () => this.connection.request("prefer", { name, value: this.values[name] });
      this.#due.set(name, setTimeout(() => keep().catch(() => {}), 800));
    }
  }

  class PaintPage {
    /** @type {any} */ shot;
    connection = new Connection();
    /** @type {Map<number, PaintedFrame>} */ frames = new Map();
    isRunning = false;
    #opening = false;
    #isOver = false;
    /** @type {number | null} */ #wanted = null;
    /** @type {number | undefined} */ #settling;
    /** The last paint that the server has taken. @type {Promise<any>} */ #taken = Promise.resolve();

    /** @param {any} shot  What the server says of it. */
    constructor(shot, /** @type {Connection} */ connection) {
      this.shot = shot;
      this.connection = connection;
      this.preferences = new Preferences(shot.preferences, connection);
      this.view = new PanZoom(shot.width, shot.height);
      const tile = (/** @type {object} */ params) => connection.request("tile", params);
      this.plate = new Plate(tile, shot);
      this.paintPane = new Pane(element("paint"), this.view, true);
      this.resultPane = new Pane(element("result"), this.view, false);
      this.paintPane.add("plate", (context, area) => this.plate.draw(context, this.view, area));
      this.easel = new Easel(element("paint"), this.view, this.paintPane);
      const solve = (/** @type {object} */ params) => connection.request("solve", params);
      this.live = new LiveMatte(solve, shot, this.view, this.resultPane);
      this.mask = /** @type {Context} */ (new OffscreenCanvas(1, 1).getContext("2d"));
      this.resultPane.add("matte", (context, area) => this.#drawResult(context, area));
      this.strip = new FilmStrip(element("strip"), {
        label: "Frames",
        aspect: shot.width / shot.height,
        thumbnail: (index) => this.#thumbnail(index),
      });
      this.controls = new Controls(this);
      this.#listen();
    }

    async begin() {
      element("name").textContent = this.shot.name;
      document.title = `${this.shot.name} – vfxmatte paint`;
      this.#showProgress(this.shot);
      this.view.fit(this.paintPane.width, this.paintPane.height);
      const stored = Number(sessionStorage.getItem("frame"));
      const { frames, keyframes } = this.shot;
      const first = frames.includes(stored) ? stored : (keyframes[0] ?? frames[0]);
      this.strip.select(Math.max(0, frames.indexOf(first)), { quiet: true });
      this.say(`${this.shot.folder} · ${this.shot.description}`);
      await this.open(first);
    }

    // -- frames ----------------------------------------------------------------------------------

    /**
     * Show a frame; while one is on its way only the last one that is asked for comes after it.
     * @param {number} number
     */
    async open(number) {
      this.#wanted = number;
      if (this.#opening) return;
      this.#opening = true;
      while (this.#wanted !== null) {
        const next = this.#wanted;
        this.#wanted = null;
        await this.#open(next);
      }
      this.#opening = false;
    }

    /** @param {number} number */
    async #open(number) {
      sessionStorage.setItem("frame", String(number));
      this.plate.show(number);
      this.paintPane.redraw();
      try {
        const frame = this.frames.get(number) ?? (await this.#fetch(number));
        const matte = frame.isSaved ? await this.#matte(number) : null;
        if (this.#wanted !== null) return;
        this.frames.delete(number); // the most recently opened stand last
        this.frames.set(number, frame);
        this.#forget();
        this.easel.show(frame);
        this.live.show(number, frame.labels, matte);
        this.controls.showFrame();
        if (frame.source === "nothing" && frame.isSaved) {
          this.say("Nothing is painted here yet: draw a box (M) around the subject for GrabCut, or paint.");
        }
      } catch (error) {
        this.fail(error);
      }
    }

    /** @param {number} number */
    async #fetch(number) {
      const { width, height } = this.shot;
      const { result, pixels } = await this.connection.request("trimap", { frame: number });
      const size = width * height;
      const labels = new Labels(width, height, pixels.slice(0, size));
      const base = new Labels(width, height, pixels.slice(size));
      return new PaintedFrame(number, labels, base, result.source, result.saved);
    }

    /** @param {number} number */
    async #matte(number) {
      if (!this.shot.mattes.includes(number)) return null;
      const { pixels } = await this.connection.request("matte", { frame: number });
      return pixels.length ? pixels : null;
    }

    #forget() {
      for (const [number, frame] of this.frames) {
        if (this.frames.size <= KEPT_FRAMES) return;
        if (frame.isSaved && frame !== this.easel.frame) this.frames.delete(number);
      }
    }

    /** @param {number} index */
    async #thumbnail(index) {
      const frame = this.shot.frames[index];
      try {
        const params = { frame, view: this.plate.view };
        const { result, pixels } = await this.connection.request("thumbnail", params);
        return createImageBitmap(imageOf(result.width, result.height, pixels));
      } catch {
        return null;
      }
    }

    /** @param {number} direction */
    toKeyframe(direction) {
      const now = this.easel.frame?.number ?? 0;
      const ahead = this.shot.keyframes.filter((/** @type {number} */ n) => (n - now) * direction > 0);
      if (!ahead.length) return;
      const target = direction > 0 ? Math.min(...ahead) : Math.max(...ahead);
      this.strip.select(this.shot.frames.indexOf(target));
    }

    // -- painting --------------------------------------------------------------------------------

    /** @param {Rectangle} area */
    #painted(area) {
      const frame = this.easel.frame;
      if (!frame) return;
      frame.isSaved = false;
      const params = { frame: frame.number, ...area };
      this.#taken = this.connection.request("paint", params, frame.labels.cut(area));
      this.#taken.catch((error) => this.fail(error));
      this.live.changed(area);
      this.live.request();
      this.controls.showFrame();
    }

    /**
     * Ask the server for labels, and put them into the frame as one change.
     * @param {string} method
     * @param {object} params
     * @param {string} doing
     */
    async change(method, params, doing) {
      const frame = this.easel.frame;
      if (!frame) return;
      this.say(`${doing} …`);
      try {
        await this.#taken;
        const request = { frame: frame.number, ...params };
        const { result, pixels } = await this.connection.request(method, request);
        if (frame !== this.easel.frame) return;
        if (!result.width) this.say(`${doing}: nothing changes`);
        else this.say(`${doing}: done`);
        this.easel.apply(result, pixels);
      } catch (error) {
        this.fail(error);
      }
    }

    /** @param {number} [number] */
    async save(number = this.easel.frame?.number) {
      if (number === undefined) return false;
      try {
        await this.#taken;
        const { result } = await this.connection.request("save", { frame: number });
        const copy = result.copy ? ` · the one before is ${result.copy}` : "";
        this.say(`saved ${result.path}${copy}`);
        const frame = this.frames.get(number);
        if (frame) {
          frame.isSaved = true;
          frame.source = "keyframe";
        }
        await this.progress();
        this.controls.showFrame();
        return true;
      } catch (error) {
        this.fail(error);
        return false;
      }
    }

    get unsaved() {
      const here = [...this.frames.values()].filter((f) => !f.isSaved).map((f) => f.number);
      return [...new Set([...this.shot.unsaved, ...here])]
        .filter((number) => !this.frames.get(number)?.isSaved)
        .sort((a, b) => a - b);
    }

    // -- running ---------------------------------------------------------------------------------

    async run() {
      if (this.unsaved.length && !(await this.#asked())) return;
      this.isRunning = true;
      this.controls.showRun(0, 0, "starting");
      try {
        const { result } = await this.connection.request("run");
        const { totals } = result;
        this.controls.showRun(0, 0, result.cancelled ? "cancelled" : runSummary(totals));
      } catch (error) {
        this.controls.showRun(0, 0, "");
        this.fail(error);
      }
      this.isRunning = false;
      this.controls.showRun(0, 0, null);
      await this.#afterRun();
    }

    async #asked() {
      const dialog = /** @type {HTMLDialogElement} */ (element("ask"));
      const frames = this.unsaved;
      const text = `Frames ${frames.join(", ")} are painted and not saved as keyframes.`;
      /** @type {HTMLElement} */ (dialog.querySelector("p")).textContent = text;
      dialog.returnValue = "";
      dialog.showModal();
      await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
      if (dialog.returnValue !== "save") return dialog.returnValue === "run";
      for (const number of frames) if (!(await this.save(number))) return false;
      return true;
    }

    async #afterRun() {
      await this.progress();
      for (const [number, frame] of this.frames) if (frame.isSaved) this.frames.delete(number);
      const frame = this.easel.frame;
      if (frame?.isSaved) await this.open(frame.number);
    }

    async review() {
      this.say("review …");
      try {
        const { result } = await this.connection.request("review");
        const { frames, flagged, files, opened } = result;
        const found = flagged.length ? `look at ${flagged.join(", ")}` : "none is flagged";
        this.say(`${frames} frames, ${found} · ${opened ? "opened" : "to see"} ${files[0]}`);
      } catch (error) {
        this.fail(error);
      }
    }

    async progress() {
      const { result } = await this.connection.request("progress");
      Object.assign(this.shot, result);
      this.#showProgress(result);
    }

    /** @param {{ frames: number[], keyframes: number[], mattes: number[] }} progress */
    #showProgress({ frames, keyframes, mattes }) {
      const lane = (/** @type {number[]} */ numbers) =>
        frames.map((number) => (numbers.includes(number) ? 1 : 0));
      this.strip.show(frames, [
        { name: "keyframe", kind: "marks", colour: "--lane-keyframe", values: lane(keyframes) },
        { name: "matte", kind: "marks", colour: "--lane-confidence", values: lane(mattes) },
        { name: "not saved", kind: "marks", colour: "--lane-warning", values: lane(this.unsaved) },
      ]);
    }

    showMarks() {
      this.#showProgress(this.shot);
    }

    // -- the screen ------------------------------------------------------------------------------

    #listen() {
      const { easel, live, plate, view, strip, connection } = this;
      plate.addEventListener("load", () => {
        this.paintPane.redraw();
        this.resultPane.redraw();
      });
      plate.addEventListener("failure", (event) => this.fail(/** @type {CustomEvent} */ (event).detail));
      view.addEventListener("change", () => this.#settle());
      live.addEventListener("draw", () => this.resultPane.redraw());
      live.addEventListener("state", () => this.controls.showLive());
      live.addEventListener("failure", (event) => this.fail(/** @type {CustomEvent} */ (event).detail));
      easel.addEventListener("painted", (event) => this.#painted(/** @type {CustomEvent} */ (event).detail));
      easel.addEventListener("edge", (event) => {
        const stroke = /** @type {CustomEvent} */ (event).detail;
        const reach = Math.max(3, easel.size);
        this.change("edge", { stroke, reach, width: Math.max(2, easel.size) }, "unknown along the edge");
      });
      easel.addEventListener("box", () => this.controls.showFrame());
      easel.addEventListener("tool", () => this.controls.showTool());
      strip.addEventListener("select", () => this.open(/** @type {number} */ (strip.number)));
      connection.addEventListener("event", (event) => this.#event(/** @type {CustomEvent} */ (event).detail));
    }

    #settle() {
      this.controls.showZoom();
      clearTimeout(this.#settling);
      this.#settling = setTimeout(() => this.live.request(), SETTLED_MS);
    }

    /**
     * @param {CanvasRenderingContext2D} context
     * @param {Rectangle} area
     */
    #drawResult(context, area) {
      const { view, live, plate } = this;
      const { width, height } = this.resultPane;
      if (element("result").dataset.ground === "alpha") {
        const { scale, left, top } = view;
        context.fillStyle = "#000000";
        context.fillRect(left, top, this.shot.width * scale, this.shot.height * scale);
        live.raster.draw(context, view, area);
        return;
      }
      const { mask } = this;
      if (mask.canvas.width !== width || mask.canvas.height !== height) {
        Object.assign(mask.canvas, { width, height });
      }
      mask.clearRect(0, 0, width, height);
      live.raster.draw(mask, view, area);
      plate.draw(context, view, area);
      context.globalCompositeOperation = "destination-in";
      context.drawImage(mask.canvas, 0, 0);
      context.globalCompositeOperation = "source-over";
    }

    /** @param {any} event */
    #event(event) {
      if (event.event === "engine") this.controls.showEngine(event.state, event.text);
      if (event.event === "replaced") this.#replaced();
      if (event.event === "run-start") this.controls.showRun(0, event.count, "");
      if (event.event === "run-frame") this.controls.frameDone(event);
      if (event.event === "run-note") this.say(event.text);
      if (event.event === "run-error") this.fail(new Refusal(event));
    }

    #replaced() {
      const message = "this shot was opened in another page; this one is no longer connected";
      this.fail(new Refusal({ message }));
      this.#isOver = true;
    }

    /** @param {string} text */
    say(text) {
      if (this.#isOver) return;
      const message = element("message");
      message.dataset.kind = "note";
      message.textContent = text;
    }

    /** @param {any} error */
    fail(error) {
      if (this.#isOver) return;
      const message = element("message");
      message.dataset.kind = "error";
      message.textContent = [error.message, error.hint].filter(Boolean).join(" – ");
    }
  }

  /** @param {any} totals */
  function runSummary(totals) {
    const parts = ["written", "kept", "failed", "skipped"]
      .filter((name) => totals[name])
      .map((name) => `${totals[name]} ${name}`);
    return parts.join(", ") || "nothing to do";
  }

  /** The page's buttons, sliders and keys. */
  class Controls {
    #done = 0;
    #count = 0;

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
      for (const [keys, text] of KEYS) {
        const term = document.createElement("dt");
        const key = document.createElement("kbd");
        key.textContent = keys;
        term.append(key);
        const description = document.createElement("dd");
        description.textContent = text;
        list.append(term, description);
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
      easel.refresh();
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

    /**
     * @param {string} state
     * @param {string} [text]
     */
    showEngine(state, text) {
      const names = { starting: "engine starting", ready: "engine ready", lost: "engine restarting" };
      const engine = element("engine");
      engine.dataset.state = state;
      engine.textContent = names[/** @type {keyof typeof names} */ (state)] ?? "no engine";
      engine.title = text ?? "";
      if (state === "lost") this.page.say(text ?? "");
      if (state === "failed") this.page.fail(new Refusal({ message: text ?? "no engine" }));
    }

    /**
     * @param {number} done
     * @param {number} count
     * @param {string | null} text  null leaves it.
     */
    showRun(done, count, text) {
      const { isRunning } = this.page;
      [this.#done, this.#count] = [done, count];
      button("run").disabled = isRunning;
      button("cancel").hidden = !isRunning;
      const progress = /** @type {HTMLProgressElement} */ (element("progress"));
      progress.hidden = !isRunning;
      if (count) progress.value = done / count;
      else progress.removeAttribute("value");
      if (text !== null) element("run-text").textContent = text;
    }

    /** @param {any} event  A frame of the run. */
    frameDone(event) {
      const { shot } = this.page;
      const text = `${this.#done + 1} of ${this.#count} · frame ${event.frame}`;
      this.showRun(this.#done + 1, this.#count, text);
      if (event.status === "failed") this.page.fail(new Refusal(event.error));
      if (event.path && !shot.mattes.includes(event.frame)) {
        shot.mattes.push(event.frame);
        this.page.showMarks();
      }
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

  /** Take the token out of the address, so that it stands in no history. */
  function takeToken() {
    const shown = location.hash.slice(1);
    if (shown) {
      sessionStorage.setItem("token", shown);
      history.replaceState(null, "", location.pathname);
    }
    return sessionStorage.getItem("token") ?? "";
  }

  function start() {
    const connection = new Connection();
    const message = element("message");
    let isOpen = false;
    connection.addEventListener("event", (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      if (detail.event === "token") sessionStorage.setItem("token", detail.token);
    });
    connection.addEventListener("open", async () => {
      isOpen = true;
      /** @type {any[]} */ const early = [];
      const keep = (/** @type {Event} */ event) => early.push(event);
      connection.addEventListener("event", keep);
      const { result } = await connection.request("shot");
      connection.removeEventListener("event", keep);
      const page = new PaintPage(result, connection);
      Object.assign(window, { paintPage: page });
      for (const event of early) connection.dispatchEvent(new CustomEvent("event", { detail: event.detail }));
      await page.begin();
      document.documentElement.dataset.ready = "true";
    });
    connection.addEventListener("close", () => {
      if (message.dataset.kind === "error" && isOpen) return;
      message.dataset.kind = "error";
      message.textContent = isOpen
        ? "The server has ended: start vfxmatte paint again. What you had not saved is lost."
        : "This page needs the address that vfxmatte paint has printed: its end is the key.";
    });
    connection.connect(takeToken());
  }

  start();
}
