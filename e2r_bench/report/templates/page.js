"use strict";
(() => {
  const root = document.documentElement;
  const choices = [...document.querySelectorAll("[data-theme-choice]")];
  function setTheme(name) {
    if (name === "auto") delete root.dataset.theme;
    else root.dataset.theme = name;
    for (const button of choices) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === name));
    }
  }
  for (const button of choices) {
    button.addEventListener("click", () => setTheme(button.dataset.themeChoice));
  }
})();
