// A dialog to choose a shoe of the catalogue.

import { listItems } from "../base/api.js";
import { make } from "../base/dom.js";
import { image } from "../base/shoes.js";
import { describe } from "../base/words.js";
import { meet, recent } from "../search/search.js";
import { iconButton } from "./parts.js";

const PAGE = 24;

const heading = make("h2", { id: "picker-heading" });
const grid = make("ul", { class: "grid" });
const more = make("button", { type: "button", class: "button", hidden: true, click: () => fetchMore().catch(() => {}) }, "Show more");
const dialog = make(
  "dialog",
  { class: "sheet", id: "picker", "aria-labelledby": heading.id },
  make("div", { class: "sheet-head" }, heading, iconButton("close", "Close", () => dialog.close(), { quiet: true })),
  grid,
  make("p", { class: "more" }, more),
);
document.body.append(dialog);

let next = null;
let chosen = null;
let keys = []; // attributes, in the order in which a shoe is described by them

function entry(shoe) {
  const words = describe(shoe, keys);
  const choose = () => {
    chosen = shoe;
    dialog.close();
  };
  const button = make("button", { type: "button", class: "card small", "data-id": shoe.id, click: choose }, image(shoe, { side: 120 }), make("span", { class: "name" }, words.name));
  return make("li", {}, button);
}

async function fetchMore() {
  more.disabled = true;
  try {
    const { items, next: after } = await listItems({ cursor: next, limit: PAGE });
    const there = new Set([...grid.querySelectorAll("[data-id]")].map((each) => each.dataset.id));
    grid.append(...items.filter(({ id }) => !there.has(id)).map(entry));
    meet(items);
    next = after;
    more.hidden = !next;
  } finally {
    more.disabled = false;
  }
}

/** Ask for a shoe, those seen latest first; the promise of it, or of null where none was chosen. */
export function pick(question, info) {
  keys = info.attributes;
  heading.textContent = question;
  chosen = null;
  next = null;
  grid.replaceChildren(...recent(12).map(entry));
  dialog.showModal();
  dialog.scrollTop = 0;
  fetchMore().catch(() => {});
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(chosen), { once: true });
  });
}

/** Two shoes at random, of the first pages of the catalogue. */
export async function surprise({ signal }) {
  const { items } = await listItems({ limit: 100, signal });
  meet(items);
  const first = items[Math.floor(Math.random() * items.length)];
  const others = items.filter(({ id }) => id !== first.id);
  return [first, others[Math.floor(Math.random() * others.length)] ?? first];
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
