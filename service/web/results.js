// The grid of shoes: while waiting, filled, empty.

import { byId, isPlainClick, make } from "./dom.js";
import { load } from "./pictures.js";
import { describe, distance } from "./words.js";

const grid = byId("grid");
const more = byId("more");
const empty = byId("empty");

/** Pictures that are likely in sight and need not wait for the layout. */
const AT_ONCE = 8;

function picture(shoe, words, loading) {
  const frame = make("span", { class: "frame" });
  const image = make("img", { alt: words.all, loading, decoding: "async", width: 136, height: 102 });
  image.addEventListener("error", () => frame.replaceChildren(make("span", { class: "no-picture" }, "No picture")));
  load(image, shoe.image);
  frame.append(image);
  return frame;
}

function card(shoe, index, { keys, hrefOf, onChoose }) {
  const words = describe(shoe, keys);
  const far = shoe.distance === undefined ? null : distance(shoe.distance);
  const spoken = [words.all, far === null ? null : `distance ${far}`, "find similar"].filter(Boolean).join(", ");
  const link = make(
    "a",
    { class: "card", href: hrefOf(shoe), "aria-label": spoken, "data-id": shoe.id, title: words.all },
    picture(shoe, words, index < AT_ONCE ? "eager" : "lazy"),
    make("span", { class: "name" }, words.name),
  );
  if (words.details) link.append(make("span", { class: "details" }, words.details));
  if (far !== null) {
    link.append(make("span", { class: "distance" }, make("span", {}, "distance "), make("b", {}, far)));
  }
  link.addEventListener("click", (event) => {
    if (!isPlainClick(event)) return;
    event.preventDefault();
    onChoose(shoe);
  });
  return make("li", {}, link);
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
}

/** Show shoes; those already at the front of the grid stay as they are, so focus and pictures do not jump. */
export function show(shoes, { keys, hrefOf, onChoose, onMore }) {
  grid.removeAttribute("aria-busy");
  grid.hidden = shoes.length === 0;
  empty.hidden = true;
  const wanted = shoes.map((shoe) => `${shoe.id}\n${shoe.distance ?? ""}\n${hrefOf(shoe)}`);
  let same = 0;
  while (same < wanted.length && grid.children[same]?.shoeKey === wanted[same]) same += 1;
  while (grid.children.length > same) grid.lastElementChild.remove();
  for (let index = same; index < shoes.length; index += 1) {
    const entry = card(shoes[index], index, { keys, hrefOf, onChoose });
    entry.shoeKey = wanted[index];
    grid.append(entry);
  }
  more.hidden = !onMore;
  more.disabled = false;
  more.onclick = onMore
    ? () => {
        more.disabled = true;
        onMore();
      }
    : null;
}

/** Move the focus to the shoe at `index`: the first of those that "Show more" brought. */
export function focusShoe(index) {
  grid.children[index]?.querySelector("a")?.focus({ preventScroll: true });
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
  empty.hidden = true;
}
