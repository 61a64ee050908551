"use strict";
/*
 * The brush on the picture: pointers and keys over the paint pane become changes of labels.
 */

/** @typedef {"brush" | "eraser" | "edge" | "fill" | "box"} Tool */

/**
 * Dispatches `painted` (detail: the changed rectangle) when a change is complete, `edge` (detail:
 * a stroke as x, y, x, y, … in px of the picture), `box` (detail: a rectangle), and `tool` when a
 * setting changes by the pointer.
 */
class Easel extends EventTarget {
  /** @type {Tool} */ tool = "brush";
  label = UNKNOWN;
  size = 24; // radius in px of the picture
  soft = 0;
  usesPressure = true;
  /** @type {Rectangle | null} */ box = null;
  /** @type {PaintedFrame | null} */ #frame = null;
  /** Milliseconds from each pointer event to its paint, while they are measured.
   * @type {number[] | null} */
  latencies = null;
  #colours = new Uint32Array(256);
  #raster = new Raster(1, 1);
  #before = new Uint8Array(0);
  #dirty = new Dirty();
  /** @type {Dab | null} */ #last = null;
  /** @type {"paint" | "edge" | "box" | "pan" | "size" | null} */ #gesture = null;
  #start = { x: 0, y: 0 };
  #startSize = 0;
  /** @type {number[]} */ #stroke = [];
  #isSpaceDown = false;
  #at = { x: 0, y: 0 }; // of the brush, on screen
  #isByKey = false; // whether keys have moved it there

  /**
   * @param {HTMLElement} host
   * @param {PanZoom} view
   * @param {Pane} pane
   */
  constructor(host, view, pane) {
    super();
    this.host = host;
    this.view = view;
    this.pane = pane;
    this.cursor = /** @type {HTMLElement} */ (host.querySelector("#brush"));
    this.marquee = /** @type {HTMLElement} */ (host.querySelector("#marquee"));
    this.overlay = pane.add("overlay", (context, area) => this.#raster.draw(context, view, area));
    view.addEventListener("change", () => this.placeBrush());
    this.#listen();
  }

  get frame() {
    return this.#frame;
  }

  /** @param {PaintedFrame | null} frame */
  show(frame) {
    this.endStroke();
    this.#frame = frame;
    this.#gesture = null;
    this.#last = null;
    this.box = null;
    if (!frame) return;
    const { width, height } = frame.labels;
    this.#raster = new Raster(width, height);
    this.#before = new Uint8Array(width * height);
    this.#tint({ x: 0, y: 0, width, height });
    this.pane.redraw();
    this.placeBrush();
  }

  /**
   * @param {number} label
   * @param {string} colour  #rrggbb
   */
  colour(label, colour) {
    const value = parseInt(colour.slice(1), 16);
    const [red, green, blue] = [value >> 16, (value >> 8) & 255, value & 255];
    this.#colours[label] = (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
    const labels = this.#frame?.labels;
    if (!labels) return;
    this.#tint({ x: 0, y: 0, width: labels.width, height: labels.height });
    this.pane.redraw();
  }

  /**
   * Put labels into the frame as one change that can be undone.
   * @param {Rectangle} area
   * @param {Uint8Array} part
   */
  apply(area, part) {
    const frame = this.#frame;
    if (!frame || !area.width) return;
    const before = frame.labels.cut(area);
    frame.labels.put(area, part);
    frame.history.add(area, before, part);
    this.#shown(area);
  }

  /** Complete a stroke that is under way, for its frame. */
  endStroke() {
    if (this.#gesture !== "paint") return;
    this.#gesture = null;
    this.#end();
  }

  /** @param {boolean} again */
  undo(again) {
    if (this.#gesture) return;
    const area = this.#frame?.history.step(this.#frame.labels, again);
    if (area) this.#shown(area);
  }

  /** @param {Rectangle} area */
  #shown(area) {
    this.#tint(area);
    this.pane.drawNow(area);
    this.dispatchEvent(new CustomEvent("painted", { detail: area }));
  }

  /** @param {Rectangle} area */
  #tint(area) {
    const { values, width } = /** @type {PaintedFrame} */ (this.#frame).labels;
    const colours = this.#colours;
    this.#raster.put(
      area,
      (pixels, from, at, count) => {
        for (const end = at + count; at < end; ) pixels[at++] = colours[values[from++]];
      },
      width,
    );
  }

  // -- pointers ----------------------------------------------------------------------------------

  #listen() {
    const { host } = this;
    host.addEventListener("pointerdown", (event) => this.#down(event));
    const moves = "onpointerrawupdate" in host ? "pointerrawupdate" : "pointermove";
    host.addEventListener(moves, (event) => this.#move(/** @type {PointerEvent} */ (event)));
    host.addEventListener("pointerup", (event) => this.#up(event));
    host.addEventListener("pointercancel", (event) => this.#up(event));
    host.addEventListener("pointerleave", () => (this.cursor.style.visibility = "hidden"));
    host.addEventListener("contextmenu", (event) => event.preventDefault());
    host.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("keydown", (event) => this.#space(event, true));
    addEventListener("keyup", (event) => this.#space(event, false));
    addEventListener("blur", () => (this.#isSpaceDown = false));
    listenToWheel(host, this.view, this.pane);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (this.#gesture || !this.#frame) return;
    this.host.focus({ preventScroll: true });
    this.host.setPointerCapture(event.pointerId);
    const at = this.pane.place(event);
    this.#start = at;
    if (event.button === 1 || this.#isSpaceDown) this.#gesture = "pan";
    else if (event.button !== 0) return;
    else if (event.ctrlKey || event.metaKey || event.altKey) this.#gesture = "size";
    else this.#beginTool(event, at);
    this.#startSize = this.size;
    this.host.classList.toggle("panning", this.#gesture === "pan");
    event.preventDefault();
  }

  /**
   * @param {PointerEvent} event
   * @param {{ x: number, y: number }} at
   */
  #beginTool(event, at) {
    const point = this.view.toPicture(at.x, at.y);
    if (this.tool !== "brush" && this.tool !== "eraser") {
      this.#beginOther(point);
      return;
    }
    this.#gesture = "paint";
    this.#begin();
    const dab = this.#dab(event);
    this.#paint(event.shiftKey && this.#last ? this.#last : dab, dab);
    this.#note(event);
  }

  /**
   * Begin what is neither brush nor eraser.
   * @param {{ x: number, y: number }} point
   */
  #beginOther(point) {
    if (this.tool === "fill") this.#fill(point);
    else if (this.tool === "box") this.#gesture = "box";
    else {
      this.#gesture = "edge";
      this.#stroke = [point.x, point.y];
      this.#begin();
      this.#trace(point);
    }
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const at = this.pane.place(event);
    if (this.#gesture !== "size") this.#at = at;
    this.#isByKey = false;
    this.cursor.style.visibility = "visible";
    if (this.#gesture === "pan") {
      this.view.pan(at.x - this.#start.x, at.y - this.#start.y);
      this.#start = at;
    } else if (this.#gesture === "size") {
      this.resize(this.#startSize * Math.exp((at.x - this.#start.x) / 120));
    } else if (this.#gesture === "box") this.#drag(at);
    else if (this.#gesture === "paint" || this.#gesture === "edge") this.#follow(event);
    this.placeBrush();
  }

  /** @param {PointerEvent} event */
  #follow(event) {
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) {
      if (this.#gesture === "paint") {
        const dab = this.#dab(one);
        this.#paint(this.#last ?? dab, dab);
      } else this.#lengthen(this.pane.place(one));
    }
    this.#note(event);
  }

  /**
   * Go on with the stroke of the edge tool.
   * @param {{ x: number, y: number }} at  On screen.
   */
  #lengthen(at) {
    const point = this.view.toPicture(at.x, at.y);
    this.#stroke.push(point.x, point.y);
    this.#trace(point);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    this.#lift(this.pane.place(event), event.type === "pointerup");
  }

  /**
   * End what is under way.
   * @param {{ x: number, y: number }} at  On screen.
   * @param {boolean} isDone  False where the pointer was taken away.
   */
  #lift(at, isDone) {
    const gesture = this.#gesture;
    this.#gesture = null;
    this.host.classList.remove("panning");
    if (gesture === "paint") this.#end();
    if (gesture === "edge") {
      const area = this.#dirty.rectangle;
      if (area) this.#tint(area); // the line that was drawn goes
      if (area) this.pane.drawNow(area);
      if (isDone) this.#say("edge", this.#stroke);
    }
    if (gesture === "box") this.#drag(at, true);
  }

  /** @param {PointerEvent} event */
  #dab(event) {
    const at = this.pane.place(event);
    const point = this.view.toPicture(at.x, at.y);
    const presses = this.usesPressure && event.pointerType === "pen" && event.pressure > 0;
    return { ...point, radius: this.size * (presses ? Math.max(0.1, event.pressure) : 1) };
  }

  /** @param {PointerEvent} event */
  #note(event) {
    this.latencies?.push(performance.now() - event.timeStamp);
  }

  // -- painting ----------------------------------------------------------------------------------

  #begin() {
    this.#before.set(/** @type {PaintedFrame} */ (this.#frame).labels.values);
    this.#dirty = new Dirty();
  }

  /**
   * @param {Dab} from
   * @param {Dab} to
   */
  #paint(from, to) {
    const frame = /** @type {PaintedFrame} */ (this.#frame);
    const paint = this.tool === "eraser" ? frame.base : this.label;
    const area = frame.labels.stroke(from, to, paint, this.soft);
    this.#last = to;
    if (!area) return;
    this.#dirty.add(area);
    this.#tint(area);
    this.pane.drawNow(area);
  }

  #end() {
    const area = this.#dirty.rectangle;
    const frame = this.#frame;
    if (!area || !frame) return;
    const before = new Labels(frame.labels.width, frame.labels.height, this.#before).cut(area);
    frame.history.add(area, before, frame.labels.cut(area));
    this.#say("painted", area);
  }

  /** @param {{ x: number, y: number }} point */
  #fill(point) {
    this.#begin();
    const { labels } = /** @type {PaintedFrame} */ (this.#frame);
    const area = labels.fill(Math.floor(point.x), Math.floor(point.y), this.label);
    if (!area) return;
    this.#dirty.add(area);
    this.#tint(area);
    this.pane.drawNow(area);
    this.#end();
  }

  /**
   * Draw the stroke of the edge tool, which changes no labels yet.
   * @param {{ x: number, y: number }} point
   */
  #trace(point) {
    const { labels } = /** @type {PaintedFrame} */ (this.#frame);
    const { x, y } = this.#last ?? point;
    const away = 2 / this.view.scale + 1;
    const area = labels.clipped(
      Math.min(x, point.x) - away,
      Math.min(y, point.y) - away,
      Math.max(x, point.x) + away,
      Math.max(y, point.y) + away,
    );
    const isFirst = this.#stroke.length === 2;
    this.#last = { ...point, radius: this.size };
    if (!area || isFirst) return;
    this.#dirty.add(area);
    this.#raster.replace(area, (_, context) => {
      context.lineWidth = Math.max(1, 2 / this.view.scale);
      context.strokeStyle = "#ffffff";
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(point.x, point.y);
      context.stroke();
    });
    this.pane.drawNow(area);
  }

  /**
   * @param {{ x: number, y: number }} at
   * @param {boolean} [isDone]
   */
  #drag(at, isDone = false) {
    const { labels } = /** @type {PaintedFrame} */ (this.#frame);
    const from = this.view.toPicture(this.#start.x, this.#start.y);
    const to = this.view.toPicture(at.x, at.y);
    const [left, right] = from.x < to.x ? [from.x, to.x] : [to.x, from.x];
    const [top, bottom] = from.y < to.y ? [from.y, to.y] : [to.y, from.y];
    this.box = labels.clipped(left, top, right, bottom);
    if (this.box && (this.box.width < 4 || this.box.height < 4)) this.box = null;
    this.placeBrush();
    if (isDone) this.#say("box", this.box);
  }

  /** @param {number} size */
  resize(size) {
    this.size = Math.min(2000, Math.max(0.5, size));
    this.placeBrush();
    this.dispatchEvent(new Event("tool"));
  }

  /**
   * @param {string} name
   * @param {any} detail
   */
  #say(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // -- keys and the cursor -----------------------------------------------------------------------

  /**
   * @param {KeyboardEvent} event
   * @param {boolean} isDown
   */
  #space(event, isDown) {
    if (event.code !== "Space" || (isDown && isTyping(event))) return;
    this.#isSpaceDown = isDown;
    this.host.classList.toggle("panning", isDown);
    if (isDown && event.target === this.host) event.preventDefault();
  }

  /**
   * Move the brush by Alt and arrow keys, and paint by Enter.
   * @param {KeyboardEvent} event
   */
  #key(event) {
    const step = event.shiftKey ? 40 : 8;
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const move = moves[event.key];
    if (event.altKey && move) {
      this.#at = { x: this.#at.x + move[0], y: this.#at.y + move[1] };
      this.#isByKey = true;
      this.cursor.style.visibility = "visible";
      if (this.#gesture === "box") this.#drag(this.#at);
      if (this.#gesture === "edge") this.#lengthen(this.#at);
      this.placeBrush();
    } else if (event.key === "Enter" && this.#frame) this.#enter(event.shiftKey);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * Do what the pointer does at the place of the brush; a box or an edge is ended by the next time.
   * @param {boolean} isLine  From the end of the last stroke.
   */
  #enter(isLine) {
    if (this.#gesture !== null) {
      if (this.#gesture === "box" || this.#gesture === "edge") this.#lift(this.#at, true);
      return;
    }
    const point = this.view.toPicture(this.#at.x, this.#at.y);
    this.#start = this.#at;
    if (this.tool === "brush" || this.tool === "eraser") {
      this.#begin();
      const dab = { ...point, radius: this.size };
      this.#paint(isLine && this.#last ? this.#last : dab, dab);
      this.#end();
    } else this.#beginOther(point);
  }

  /** Place the brush's circle and the box, after a change of size or view. */
  placeBrush() {
    const ratio = window.devicePixelRatio || 1;
    const radius = Math.max(1.5, (this.size * this.view.scale) / ratio);
    const { style, dataset } = this.cursor;
    style.width = style.height = `${2 * radius}px`;
    style.transform = `translate(${this.#at.x / ratio - radius}px, ${this.#at.y / ratio - radius}px)`;
    style.setProperty("--rim", `${radius * this.soft}px`);
    dataset.hard = String(!(this.soft > 0 && this.tool === "brush" && this.label !== UNKNOWN));
    this.cursor.hidden = (this.tool === "fill" || this.tool === "box") && !this.#isByKey;
    layOver(this.marquee, this.box, this.view);
  }
}
