// What several of the views beside the search are made of.

import { icon, make } from "../base/dom.js";

/** A button with an icon and, unless `quiet`, its name beside it. */
export function iconButton(name, text, click, { quiet = false, ...attributes } = {}) {
  const named = quiet ? { "aria-label": text, title: text } : {};
  const kind = quiet ? "icon-button" : "button";
  const button = make("button", { type: "button", class: kind, ...named, ...attributes, click }, icon(name));
  if (!quiet) button.append(text);
  return button;
}

/** 0.123 -> "12%". */
export function percent(share) {
  return `${Math.round(share * 100)}%`;
}
