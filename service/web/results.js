// The grid of shoes: while waiting, filled, empty.

import { imageOf } from "./api.js";
import { byId, isPlainClick, make } from "./dom.js";
import { load } from "./pictures.js";
import { describe, distance, nearDuplicates } from "./words.js";

const grid = byId("grid");
const more = byId("more");
const end = byId("end");
const empty = byId("empty");

/** Pictures that are likely in sight and need not wait for the layout. */
const AT_ONCE = 8;

function picture(shoe, loading) {
  const frame = make("span", { class: "frame" });
  const image = make("img", { alt: "", loading, decoding: "async", width: 136, height: 102 });
  image.addEventListener("error", () => frame.replaceChildren(make("span", { class: "no-picture" }, "No picture")));
  load(image, imageOf(shoe));
  frame.append(image);
  return frame;
}

function hideButton(shoe, index, words, onHide) {
  return make(
    "button",
    {
      type: "button",
      class: "hide",
      title: "Hide this shoe",
      "aria-label": `Hide this shoe: ${words.all}`,
      click: () => onHide(shoe, index),
    },
    make("span", { "aria-hidden": "true" }, "×"),
  );
}

function card(shoe, index, { keys, hrefOf, onChoose, onHide }) {
  const words = describe(shoe, keys);
  const far = shoe.distance === undefined ? null : distance(shoe.distance);
  const folded = shoe.duplicates?.length ? `and ${nearDuplicates(shoe.duplicates.length)}` : null;
  // Its name to assistive technology is the text in it.
  const link = make(
    "a",
    { class: "card", href: hrefOf(shoe), "data-id": shoe.id, title: `Find shoes like this: ${words.all}` },
    picture(shoe, index < AT_ONCE ? "eager" : "lazy"),
    make("span", { class: "name" }, words.name),
  );
  if (words.details) link.append(make("span", { class: "details" }, words.details));
  if (far !== null) {
    link.append(make("span", { class: "distance" }, make("span", {}, "distance "), make("b", {}, far)));
  }
  if (folded) link.append(make("span", { class: "folded" }, folded));
  link.addEventListener("click", (event) => {
    if (!isPlainClick(event)) return;
    event.preventDefault();
    onChoose(shoe);
  });
  return make("li", {}, link, ...(onHide ? [hideButton(shoe, index, words, onHide)] : []));
}

/** Show placeholders where `number` shoes will be; `dim` keeps what is there, greyed, instead. */
export function wait(number, { dim = false } = {}) {
  grid.setAttribute("aria-busy", "true");
  if (dim && grid.children.length && !grid.querySelector(".skeleton")) return;
  const one = () =>
    make(
      "li",
      { class: "skeleton", "aria-hidden": "true" },
      make("span", { class: "frame" }),
      make("span", { class: "bar" }),
      make("span", { class: "bar short" }),
    );
  grid.replaceChildren(...Array.from({ length: number }, one));
  grid.hidden = false;
  empty.hidden = true;
  more.hidden = true;
  end.textContent = "";
}

/**
 * Show shoes, and the words `ending` behind them.
 *
 * Shoes already at the front of the grid stay as they are, so focus and pictures do not jump.
 */
export function show(shoes, { keys, hrefOf, onChoose, onHide, onMore, ending }) {
  grid.removeAttribute("aria-busy");
  grid.hidden = shoes.length === 0;
  empty.hidden = true;
  const wanted = shoes.map((shoe) =>
    [shoe.id, shoe.distance ?? "", shoe.duplicates?.length ?? "", Boolean(onHide), hrefOf(shoe)].join("\n"),
  );
  let same = 0;
  while (same < wanted.length && grid.children[same]?.shoeKey === wanted[same]) same += 1;
  while (grid.children.length > same) grid.lastElementChild.remove();
  for (let index = same; index < shoes.length; index += 1) {
    const entry = card(shoes[index], index, { keys, hrefOf, onChoose, onHide });
    entry.shoeKey = wanted[index];
    grid.append(entry);
  }
  end.textContent = ending;
  more.hidden = !onMore;
  more.disabled = false;
  more.onclick = onMore
    ? () => {
        more.disabled = true;
        onMore();
      }
    : null;
}

/** Move the focus to the shoe at `index`: the first that "Show more" brought, or the one in a hidden one's place. */
export function focusShoe(index) {
  const entry = grid.children[Math.min(index, grid.children.length - 1)];
  entry?.querySelector("a")?.focus({ preventScroll: true });
}

/** Let "Show more" be pressed again after it failed. */
export function allowMore() {
  more.disabled = false;
}

/** Say that there is nothing to show, and what can be done about it. */
export function showEmpty(text, button) {
  clear();
  empty.replaceChildren(make("p", {}, text), ...(button ? [button] : []));
  empty.hidden = false;
}

/** Take everything away. */
export function clear() {
  grid.removeAttribute("aria-busy");
  grid.replaceChildren();
  grid.hidden = true;
  more.hidden = true;
  end.textContent = "";
  empty.hidden = true;
}
