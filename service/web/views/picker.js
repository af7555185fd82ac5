// A dialog to choose a shoe of the catalogue.

import { listItems } from "../base/api.js";
import { byId, make } from "../base/dom.js";
import { image } from "../base/shoes.js";
import { describe, kindFirst } from "../base/words.js";
import { meet, recent } from "../search/search.js";

const PAGE = 24;

const dialog = byId("picker");
const grid = byId("picker-grid");
const more = byId("picker-more");

let next = null;
let chosen = null;

function entry(shoe) {
  const words = describe(shoe, kindFirst(Object.keys(shoe.attributes)));
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
export function pick(question) {
  byId("picker-heading").textContent = question;
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

byId("picker-close").addEventListener("click", () => dialog.close());
more.addEventListener("click", () => fetchMore().catch(() => {}));
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
