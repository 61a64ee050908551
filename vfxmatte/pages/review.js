"use strict";
/* The review page: the film strip, the picture with its views and the wipe, figures, keys. */

/**
 * @typedef {object} ReviewData
 * @property {string} shot
 * @property {string} take
 * @property {string | null} other  The name of the other take.
 * @property {[number, number]} size  Of the pictures.
 * @property {[number, number]} full  Of the plate.
 * @property {number} fps
 * @property {boolean} hasForeground
 * @property {CheckData[]} checks
 * @property {FrameData[]} frames
 */

class Review {
  /** @type {{ view: View, other: boolean } | null} */ second = null;
  isWiping = false;
  isSwapped = false;
  wipe = 0.5;
  /** @type {Promise<void>} */ #isShown = Promise.resolve();
  #isPlaying = false;
  #drawing = 0;
  /** @type {{ own: Planes, other: Planes | null } | null} */ #planes = null;
  #first = new Side();
  #other = new Side();

  /** @param {ReviewData} data */
  constructor(data) {
    this.data = data;
    this.store = new FrameStore(data.frames, data.size);
    /** @type {LookSettings} */
    this.settings = { view: "alpha", background: "checker", colour: [0, 177, 64], gain: 1, gamma: 1 };
    this.flagged = data.frames
      .map((frame, index) => ({ index, rank: frame.rank }))
      .filter((one) => one.rank !== null)
      .sort((a, b) => Number(a.rank) - Number(b.rank))
      .map((one) => one.index);
    if (data.other) this.second = { view: "alpha", other: true };
    element("viewer").hidden = false;
    element("shot").textContent = data.other ? `${data.shot}: ${data.take} / ${data.other}` : data.shot;
    this.picture = new PictureView(element("picture"), {
      label: data.shot,
      paint: (context, view) => this.#paint(context, view),
    });
    this.picture.addEventListener("hover", () => this.#showPixel());
    this.strip = new FilmStrip(element("strip"), {
      label: "Frames",
      aspect: data.size[0] / data.size[1],
      thumbnail: async (index) => {
        await this.#isShown; // the picture comes first
        return this.store.thumbnail(index, 84).catch(() => null);
      },
    });
    this.strip.show(data.frames.map((frame) => frame.number), lanesOf(data.frames));
    this.strip.addEventListener("select", () => this.show());
    this.picture.resize(...data.size);
    this.#buildControls();
    listFlagged(
      this.flagged.map((index) => data.frames[index]),
      (frame) => this.strip.select(data.frames.indexOf(frame)),
    );
    this.#listen();
    this.#goToHash();
    this.#isShown = this.show();
  }

  get frame() {
    return this.data.frames[this.strip.index];
  }

  // -- frames ------------------------------------------------------------------------------------

  /** Show the selected frame. */
  async show() {
    const index = this.strip.index;
    const drawing = ++this.#drawing;
    describeFrame(this.frame, this.data.checks);
    const planes = await this.store.get(index);
    if (drawing !== this.#drawing) return; // another frame was selected meanwhile
    this.#planes = planes;
    this.render();
    if (!performance.getEntriesByName("first-picture").length) {
      requestAnimationFrame(() => performance.mark("first-picture"));
    }
    document.documentElement.dataset.shown = String(this.frame.number);
  }

  /**
   * Go to the next (1) or previous (-1) flagged frame, worst first; from any other frame to the
   * worst.
   * @param {number} step
   */
  nextFlagged(step) {
    const { flagged } = this;
    if (!flagged.length) return;
    const at = flagged.indexOf(this.strip.index);
    const next = at < 0 ? 0 : (at + step + flagged.length) % flagged.length;
    this.strip.select(flagged[next]);
  }

  togglePlay() {
    this.#isPlaying = !this.#isPlaying;
    if (this.#isPlaying) this.#play();
  }

  async #play() {
    while (this.#isPlaying) {
      const started = performance.now();
      const next = (this.strip.index + 1) % this.data.frames.length;
      await this.store.get(next);
      this.strip.select(next);
      const left = 1000 / this.data.fps - (performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, left)));
    }
  }

  // -- pictures ----------------------------------------------------------------------------------

  /** Compute the pictures of the present frame and look. */
  render() {
    if (!this.#planes) return;
    const { own, other } = this.#planes;
    const isShown = this.#first.draw(own, this.settings);
    const { second } = this;
    let isSecondShown = false;
    if (second && (this.isWiping || this.isSwapped)) {
      const planes = second.other ? other : own;
      if (planes) isSecondShown = this.#other.draw(planes, { ...this.settings, view: second.view });
    }
    const lacks = this.isSwapped ? !isSecondShown : !isShown;
    const lacking = element("lacking");
    lacking.hidden = !lacks;
    lacking.textContent = `frame ${this.frame.number} has no ${VIEW_NAMES[this.#shownView()]}`;
    this.picture.label = `${this.data.shot}, frame ${this.frame.number}, ${VIEW_NAMES[this.#shownView()]}`;
    this.picture.redraw();
    this.#showPixel();
  }

  #shownView() {
    return this.isSwapped && this.second ? this.second.view : this.settings.view;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {PictureView} view
   */
  #paint(context, view) {
    const { width, height } = view;
    const [left, right] = this.isSwapped ? [this.#other, this.#first] : [this.#first, this.#other];
    if (left.canvas) context.drawImage(left.canvas, 0, 0);
    const handle = element("handle");
    handle.hidden = !this.isWiping;
    element("sides").hidden = !this.isWiping && !this.isSwapped;
    if (!this.isWiping) return;
    if (right.canvas) {
      context.save();
      context.beginPath();
      context.rect(width * this.wipe, 0, width, height);
      context.clip();
      context.clearRect(0, 0, width, height);
      context.drawImage(right.canvas, 0, 0);
      context.restore();
    }
    handle.style.left = `${view.toHost(width * this.wipe, 0).x}px`;
    handle.setAttribute("aria-valuenow", String(Math.round(this.wipe * 100)));
  }

  #showPixel() {
    const point = this.picture.cursor;
    const output = element("pixel");
    output.hidden = !point || !this.#planes;
    if (point && this.#planes) output.textContent = pixelText(point, this.data, this.#planes);
  }

  // -- controls ----------------------------------------------------------------------------------

  /** @param {Partial<LookSettings>} changes */
  look(changes) {
    const wasSame = this.second?.other && this.second.view === this.settings.view;
    Object.assign(this.settings, changes);
    if (changes.view && wasSame && this.second) this.second.view = changes.view; // the other take follows
    this.#showControls();
    this.render();
  }

  /** @param {number} gain */
  setGain(gain) {
    element("gain").setAttribute("value", String(Math.log2(gain)));
    /** @type {HTMLInputElement} */ (element("gain")).value = String(Math.log2(gain));
    this.look({ gain });
  }

  /** @param {boolean} isWiping */
  setWipe(isWiping) {
    this.second ??= { view: this.settings.view === "plate" ? "composite" : "plate", other: false };
    this.isWiping = isWiping;
    this.#showControls();
    this.render();
  }

  /** @param {boolean} isSwapped */
  setSwapped(isSwapped) {
    this.second ??= { view: this.settings.view === "plate" ? "composite" : "plate", other: false };
    this.isSwapped = isSwapped;
    this.#showControls();
    this.render();
  }

  #buildControls() {
    const views = element("views");
    VIEWS.forEach((view, i) => {
      const button = toggle(VIEW_NAMES[view], `${VIEW_HELP[view]} (${i + 1})`);
      button.dataset.view = view;
      button.addEventListener("click", () => this.look({ view }));
      views.append(button);
    });
    const colour = /** @type {HTMLInputElement} */ (element("colour"));
    for (const background of BACKGROUNDS) {
      const button = toggle(background, `Composites over ${background} (B: the next)`);
      button.dataset.background = background;
      button.addEventListener("click", () => this.look({ background, view: "composite" }));
      colour.before(button);
    }
    colour.addEventListener("input", () => {
      const parts = [1, 3, 5].map((at) => parseInt(colour.value.slice(at, at + 2), 16));
      this.look({ colour: [parts[0], parts[1], parts[2]], background: "colour", view: "composite" });
    });
    const gain = /** @type {HTMLInputElement} */ (element("gain"));
    gain.addEventListener("input", () => this.look({ gain: 2 ** Number(gain.value) }));
    const gamma = /** @type {HTMLInputElement} */ (element("gamma"));
    gamma.addEventListener("input", () => this.look({ gamma: Number(gamma.value) }));
    element("reset").addEventListener("click", () => this.resetLook());
    this.#buildSecond();
    element("wipe").addEventListener("click", () => this.setWipe(!this.isWiping));
    element("swap").addEventListener("click", () => this.setSwapped(!this.isSwapped));
    element("help-button").addEventListener("click", () => this.help());
    element("theme").addEventListener("click", toggleTheme);
    element("keys").append(
      ...KEYS.flatMap(([keys, text]) => {
        const term = document.createElement("dt");
        term.append(...keys.split(" ").flatMap((key) => [textElement("kbd", key), " "]));
        return [term, textElement("dd", text)];
      }),
    );
    this.#showControls();
  }

  #buildSecond() {
    const second = /** @type {HTMLSelectElement} */ (element("second"));
    const takes = this.data.other ? [true, false] : [false];
    for (const other of takes) {
      const group = document.createElement("optgroup");
      group.label = other ? String(this.data.other) : this.data.take;
      for (const view of VIEWS) {
        const option = /** @type {HTMLOptionElement} */ (textElement("option", VIEW_NAMES[view]));
        option.value = `${other ? "other" : "own"} ${view}`;
        group.append(option);
      }
      second.append(group);
    }
    second.addEventListener("change", () => {
      const [take, view] = second.value.split(" ");
      this.second = { view: /** @type {View} */ (view), other: take === "other" };
      if (!this.isWiping && !this.isSwapped) this.setWipe(true);
      else this.render();
    });
  }

  #showControls() {
    const { view, background, gain, gamma } = this.settings;
    for (const button of document.querySelectorAll("#views button, #backgrounds button")) {
      const { dataset } = /** @type {HTMLElement} */ (button);
      const isOn = dataset.view ? dataset.view === view : dataset.background === background;
      button.setAttribute("aria-pressed", String(isOn));
    }
    element("gain-value").textContent = `×${gain.toFixed(gain < 10 ? 2 : 1)}`;
    element("gamma-value").textContent = gamma.toFixed(2);
    element("wipe").setAttribute("aria-pressed", String(this.isWiping));
    element("swap").setAttribute("aria-pressed", String(this.isSwapped));
    const { second } = this;
    if (second) {
      const select = /** @type {HTMLSelectElement} */ (element("second"));
      select.value = `${second.other ? "other" : "own"} ${second.view}`;
    }
    const names = [`A ${this.data.other ? this.data.take : ""} ${VIEW_NAMES[view]}`];
    names.push(second ? `B ${second.other ? this.data.other : ""} ${VIEW_NAMES[second.view]}` : "");
    if (this.isSwapped) names.reverse();
    element("side-a").textContent = names[0];
    element("side-b").textContent = this.isWiping ? names[1] : "";
    element("side-b").hidden = !this.isWiping;
  }

  resetLook() {
    /** @type {HTMLInputElement} */ (element("gamma")).value = "1";
    this.settings.gamma = 1;
    this.setGain(1);
  }

  help() {
    /** @type {HTMLDialogElement} */ (element("help")).showModal();
  }

  #listen() {
    document.addEventListener("keydown", (event) => this.#key(event));
    window.addEventListener("hashchange", () => this.#goToHash());
    const handle = element("handle");
    const stage = element("stage");
    handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const x = event.clientX - stage.getBoundingClientRect().left;
      this.#moveWipe(this.picture.toPicture(x, 0).x / this.picture.width);
    });
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      this.#moveWipe(this.wipe + step);
    });
    window.addEventListener("beforeprint", () => this.#preparePrint());
  }

  /** @param {number} share */
  #moveWipe(share) {
    this.wipe = Math.max(0, Math.min(1, share));
    this.picture.redraw();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (element("help").hasAttribute("open")) return;
    if (target.tagName === "SELECT") return; // letters choose an option there
    const isControl = target.tagName === "INPUT";
    const isButton = /^(BUTTON|A)$/.test(target.tagName);
    const view = VIEWS[Number(event.key) - 1];
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (isControl && (step !== undefined || event.key === " ")) return;
    if (isButton && event.key === " ") return;
    const { strip, picture, settings } = this;
    /** @type {Record<string, () => void>} */
    const actions = {
      n: () => this.nextFlagged(1),
      p: () => this.nextFlagged(-1),
      b: () => {
        const at = BACKGROUNDS.indexOf(settings.background) + (event.shiftKey ? -1 : 1);
        const background = BACKGROUNDS[(at + BACKGROUNDS.length) % BACKGROUNDS.length];
        this.look({ background, view: "composite" });
      },
      g: () => this.setGain(settings.gain === 8 ? 1 : 8),
      r: () => this.resetLook(),
      w: () => this.setWipe(!this.isWiping),
      x: () => this.setSwapped(!this.isSwapped),
      f: () => picture.fit(),
      z: () => picture.zoomTo(1),
      "+": () => picture.zoomTo(picture.zoom * 1.25),
      "=": () => picture.zoomTo(picture.zoom * 1.25),
      "-": () => picture.zoomTo(picture.zoom / 1.25),
      " ": () => this.togglePlay(),
      "?": () => this.help(),
    };
    const action = actions[event.key.toLowerCase()];
    if (step !== undefined) strip.select(strip.index + step);
    else if (view) this.look({ view });
    else if (action) action();
    else return;
    event.preventDefault();
  }

  #goToHash() {
    const number = Number(location.hash.slice(1));
    const index = this.data.frames.findIndex((frame) => frame.number === number);
    if (!location.hash || index < 0) return;
    this.strip.select(index);
    window.scrollTo(0, 0);
  }

  #preparePrint() {
    const figure = element("printed");
    const canvas = this.#first.canvas;
    figure.hidden = !canvas;
    const image = figure.querySelector("img");
    const caption = figure.querySelector("figcaption");
    if (!canvas || !image || !caption) return;
    image.src = canvas.toDataURL("image/png");
    image.alt = `frame ${this.frame.number}`;
    caption.textContent = `frame ${this.frame.number}: ${VIEW_NAMES[this.settings.view]}`;
  }
}

const review = new Review(JSON.parse(element("data").textContent ?? ""));
