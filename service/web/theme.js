// Light, dark, or as the device has it: set before anything is painted, and kept in this browser if somebody chose.
"use strict";

{
  const NAME = "solemate.theme";
  const root = document.documentElement;
  try {
    root.dataset.theme = localStorage.getItem(NAME) ?? "auto";
  } catch {
    root.dataset.theme = "auto"; // a browser that keeps nothing
  }

  window.addEventListener("DOMContentLoaded", () => {
    const choice = document.getElementById("theme");
    choice.value = root.dataset.theme;
    choice.addEventListener("change", () => {
      root.dataset.theme = choice.value;
      try {
        if (choice.value === "auto") localStorage.removeItem(NAME);
        else localStorage.setItem(NAME, choice.value);
      } catch {
        // It holds until the page is left.
      }
    });
  });
}
