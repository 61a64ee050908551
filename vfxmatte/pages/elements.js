"use strict";
/* Elements of a page. */

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 */
function element(id) {
  return /** @type {T} */ (document.getElementById(id));
}

/**
 * @param {string} tag
 * @param {string} text
 */
function textElement(tag, text) {
  const one = document.createElement(tag);
  one.textContent = text;
  return one;
}

/**
 * @param {string} text
 * @param {string} title
 */
function toggle(text, title) {
  const button = /** @type {HTMLButtonElement} */ (textElement("button", text));
  button.type = "button";
  button.title = title;
  button.setAttribute("aria-pressed", "false");
  return button;
}

function toggleTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
}
