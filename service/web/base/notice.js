// Messages to the person: what went wrong, in kind words, and what can be done.

import { byId, make } from "./dom.js";
import { sentence } from "./words.js";

/** A button for a notice or an empty place. */
export function button(text, click) {
  return make("button", { type: "button", class: "button", click }, text);
}

/** Show a message, with buttons for the ways on; screen readers say it at once. */
export function say(title, text, actions = []) {
  const words = make("p", {}, make("strong", {}, sentence(title)), " ", sentence(text));
  const notice = make("div", { class: "notice" }, words);
  if (actions.length) notice.append(make("p", { class: "notice-buttons" }, ...actions));
  byId("alert").replaceChildren(notice);
  notice.scrollIntoView({ block: "nearest" });
}

/** Take the message away. */
export function hush() {
  byId("alert").replaceChildren();
}

let fading = null;

/** Say something in passing; it goes away by itself. */
export function toast(text) {
  clearTimeout(fading);
  byId("toast").textContent = text;
  fading = setTimeout(() => {
    byId("toast").textContent = "";
  }, 4000);
}
