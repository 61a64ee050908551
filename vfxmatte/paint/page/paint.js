"use strict";
/*
 * The paint page: the frames of the shot, saving and running.
 */
const KEPT_FRAMES = 6; // with what can be undone
const SETTLED_MS = 180; // after a view change, until what has come into view is solved

class PaintPage {
  /** @type {any} */ shot;
  connection = new Connection();
  /** @type {Map<number, PaintedFrame>} */ frames = new Map();
  isRunning = false;
  isOver = false; // the connection is lost, and the message says why
  #opening = false;
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
    this.runBar = new RunBar(this);
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
      const known = this.frames.get(number);
      const frame = known && !known.isStale ? known : await this.#fetched(number, known);
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

  /**
   * A frame as the server has it, with what is painted while it comes; one that is known keeps what
   * can be undone, unless its labels are new.
   * @param {number} number
   * @param {PaintedFrame} [known]
   * @returns {Promise<PaintedFrame>}
   */
  async #fetched(number, known) {
    if (!known) return this.#fetch(number);
    if (known === this.easel.frame) this.easel.endStroke();
    const { changes } = known;
    const fresh = await this.#fetch(number);
    if (known === this.easel.frame) this.easel.endStroke();
    if (known.changes !== changes) return this.#fetched(number, known);
    if (!known.labels.equals(fresh.labels)) return fresh;
    Object.assign(known, { base: fresh.base, source: fresh.source, isSaved: fresh.isSaved, isStale: false });
    return known;
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
    frame.changes++;
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
      if (frame.number !== this.easel.frame?.number) {
        this.say(`${doing}: nothing changes, since frame ${frame.number} is no longer shown`);
        return;
      }
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
      const frame = this.frames.get(number);
      const changes = frame?.changes;
      const { result } = await this.connection.request("save", { frame: number });
      const copy = result.copy ? ` · the one before is ${result.copy}` : "";
      this.say(`saved ${result.path}${copy}`);
      if (frame) {
        frame.isSaved = frame.changes === changes; // not what was painted while it was saved
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
    this.runBar.show(0, 0, "starting");
    try {
      const { result } = await this.connection.request("run");
      const done = runSummary(result.totals);
      const cancelled = done ? `cancelled: ${done}` : "cancelled";
      this.runBar.show(0, 0, result.cancelled ? cancelled : done || "nothing to do");
    } catch (error) {
      this.runBar.show(0, 0, "");
      this.fail(error);
    }
    this.isRunning = false;
    this.runBar.show(0, 0, null);
    await this.#afterRun();
  }

  async #asked() {
    const dialog = /** @type {HTMLDialogElement} */ (element("ask"));
    const frames = this.unsaved;
    const isOne = frames.length === 1;
    const text = isOne
      ? `Frame ${frames[0]} is painted and not saved as a keyframe.`
      : `Frames ${frames.join(", ")} are painted and not saved as keyframes.`;
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
    for (const frame of this.frames.values()) frame.isStale = true;
    const frame = this.easel.frame;
    if (frame) await this.open(frame.number);
  }

  async review() {
    this.say("review …");
    try {
      const { result } = await this.connection.request("review");
      const { frames, flagged, files, opened } = result;
      const found = flagged.length ? `look at ${flagged.join(", ")}` : "none is flagged";
      this.say(`${frames} ${frames === 1 ? "frame" : "frames"}, ${found} · ${opened ? "opened" : "to see"} ${files[0]}`);
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
    connection.addEventListener("close", () => (this.isOver = true));
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
    if (event.event === "engine") this.runBar.showEngine(event.state, event.text);
    if (event.event === "replaced") this.#replaced();
    if (event.event === "run-start") this.runBar.show(0, event.count, "");
    if (event.event === "run-frame") this.runBar.frameDone(event);
    if (event.event === "run-note") this.say(event.text);
    if (event.event === "run-error") this.fail(new Refusal(event));
  }

  #replaced() {
    const message = "this shot was opened in another page; this one is no longer connected";
    this.fail(new Refusal({ message }));
    this.isOver = true;
  }

  /** @param {string} text */
  say(text) {
    if (this.isOver) return;
    const message = element("message");
    message.dataset.kind = "note";
    message.textContent = text;
  }

  /** @param {any} error */
  fail(error) {
    if (this.isOver) return;
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
  return parts.join(", ");
}
