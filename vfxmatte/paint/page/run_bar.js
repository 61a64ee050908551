"use strict";

/** The state of the engine, and how far a run is. */
class RunBar {
  #done = 0;
  #count = 0;

  /** @param {PaintPage} page */
  constructor(page) {
    this.page = page;
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
  show(done, count, text) {
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
    this.show(this.#done + 1, this.#count, text);
    if (event.status === "failed") this.page.fail(new Refusal(event.error));
    if (event.path && !shot.mattes.includes(event.frame)) {
      shot.mattes.push(event.frame);
      this.page.showMarks();
    }
  }
}
