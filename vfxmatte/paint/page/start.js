"use strict";
/* The way from the address to a page that paints. */

/** Take the token out of the address, so that it stands in no history. */
function takeToken() {
  const shown = location.hash.slice(1);
  if (shown) {
    sessionStorage.setItem("token", shown);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("token") ?? "";
}

function startPainting() {
  const connection = new Connection();
  const message = element("message");
  /** @type {PaintPage | null} */ let page = null;
  connection.addEventListener("event", (event) => {
    const { detail } = /** @type {CustomEvent} */ (event);
    if (detail.event === "token") sessionStorage.setItem("token", detail.token);
  });
  connection.addEventListener("open", async () => {
    /** @type {any[]} */ const early = [];
    const keep = (/** @type {Event} */ event) => early.push(event);
    connection.addEventListener("event", keep);
    const { result } = await connection.request("shot");
    connection.removeEventListener("event", keep);
    page = new PaintPage(result, connection);
    Object.assign(window, { paintPage: page });
    for (const event of early) connection.dispatchEvent(new CustomEvent("event", { detail: event.detail }));
    await page.begin();
    document.documentElement.dataset.ready = "true";
  });
  const showEnd = () => {
    element("engine").dataset.state = "failed";
    element("engine").textContent = "not connected";
    if (page?.isOver) return; // it has said why
    message.dataset.kind = "error";
    message.textContent = page
      ? "The server has ended: start vfxmatte paint again. What was not saved is there again, unless it was killed."
      : "This page needs the address that vfxmatte paint has printed: its end is the key.";
  };
  connection.addEventListener("close", showEnd);
  const token = takeToken();
  if (token) connection.connect(token);
  else showEnd();
}

startPainting();
