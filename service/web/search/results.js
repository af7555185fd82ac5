// The grid of shoes: while waiting, filled, empty.

import { byId, icon, link, make } from "../base/dom.js";
import { image, nearness, offer } from "../base/shoes.js";
import { count, describe } from "../base/words.js";

const grid = byId("grid");
const more = byId("more");
const end = byId("end");
const empty = byId("empty");

/** Pictures that are likely in sight and need not wait for the layout. */
const AT_ONCE = 8;

/** How far below the screen the end of the grid may be when the next page is fetched. */
const AHEAD = "60%";

/** Pages that come by themselves; after each so many, somebody has to ask for more. */
const UNASKED = 8;

let onMore = null;
let unasked = 0;

const nearEnd = new IntersectionObserver(
  ([{ isIntersecting }]) => {
    if (isIntersecting && onMore && unasked < UNASKED) fetchMore();
  },
  { rootMargin: AHEAD },
);

function fetchMore() {
  const fetch = onMore;
  onMore = null;
  unasked += 1;
  more.disabled = true;
  more.textContent = "Loading…";
  fetch();
}

more.addEventListener("click", () => {
  unasked = 0;
  if (onMore) fetchMore();
});

function action(name, text, words, click, attributes) {
  const named = { title: text, "aria-label": `${text}: ${words.all}` };
  return make("button", { class: `icon-button ${name}`, ...named, ...attributes, click }, icon(name));
}

function copies(shoe, { hrefOf, onOpen }) {
  const list = make("span", { class: "copies", hidden: true });
  const number = shoe.duplicates.length;
  const button = make(
    "button",
    {
      type: "button",
      class: "folded",
      "aria-expanded": "false",
      click: () => {
        list.hidden = !list.hidden;
        button.setAttribute("aria-expanded", String(!list.hidden));
        if (list.children.length) return;
        const one = (id) =>
          link({ href: hrefOf({ id }), go: () => onOpen({ id }), title: id }, image({ id }, { alt: `Shoe ${id}`, side: 48 }));
        list.append(...shoe.duplicates.map(one));
      },
    },
    `${count(number)} more like this`,
  );
  return [button, list];
}

function card(shoe, index, options) {
  const { keys, hrefOf, onOpen, onLike, onDislike, onSearch, likes, measured } = options;
  const words = describe(shoe, keys);
  const title = make("span", { class: "name" }, words.name);
  // Its name to assistive technology is the text in it.
  const opener = link(
    { class: "card", href: hrefOf(shoe), go: () => onOpen(shoe), "data-id": shoe.id, title: words.all },
    image(shoe, { loading: index < AT_ONCE ? "eager" : "lazy" }),
    title,
  );
  if (words.details) opener.append(make("span", { class: "details" }, words.details));
  const price = offer(shoe);
  if (price) opener.append(price);
  if (measured && shoe.distance !== undefined) opener.append(nearness(shoe));
  const actions = make("div", { class: "card-actions" });
  actions.append(action("like", "More like this", words, () => onLike(shoe), { "aria-pressed": likes.includes(shoe.id) }));
  if (onDislike) actions.append(action("dislike", "Less like this", words, () => onDislike(shoe)));
  actions.append(action("search", "Search with this shoe", words, () => onSearch(shoe)));
  const entry = make("li", { class: "entry" }, opener);
  if (shoe.duplicates?.length) entry.append(...copies(shoe, options));
  entry.append(actions);
  return entry;
}

function skeleton() {
  return make(
    "li",
    { class: "skeleton", "aria-hidden": "true" },
    make("span", { class: "frame" }),
    make("span", { class: "bar" }),
    make("span", { class: "bar short" }),
  );
}

/** Grey the shoes that are there, or show placeholders where `number` shoes will be. */
export function wait(number) {
  grid.setAttribute("aria-busy", "true");
  pause(); // a page after what goes away would come between what comes
  if (grid.children.length) return;
  grid.replaceChildren(...Array.from({ length: number }, skeleton));
  grid.hidden = false;
  empty.hidden = true;
  stop();
  end.textContent = "";
}

function pause() {
  onMore = null;
  nearEnd.disconnect();
}

function stop() {
  more.hidden = true;
  pause();
}

/**
 * Show shoes, and the words `ending` behind them. `next()` fetches the next page, where there is one.
 *
 * Shoes already at the front of the grid stay as they are, so focus and pictures do not jump.
 */
export function show(shoes, { next, ending, ...options }) {
  grid.removeAttribute("aria-busy");
  grid.hidden = shoes.length === 0;
  empty.hidden = true;
  const { onDislike, likes, hrefOf, measured } = options;
  const wanted = shoes.map((shoe) =>
    [shoe.id, (measured && shoe.distance) ?? "", shoe.duplicates?.length ?? "", !onDislike, likes.includes(shoe.id), hrefOf(shoe)].join("\n"),
  );
  let same = 0;
  while (same < wanted.length && grid.children[same]?.shoeKey === wanted[same]) same += 1;
  if (same === 0) unasked = 0;
  while (grid.children.length > same) grid.lastElementChild.remove();
  for (let index = same; index < shoes.length; index += 1) {
    const entry = card(shoes[index], index, options);
    entry.shoeKey = wanted[index];
    grid.append(entry);
  }
  end.textContent = ending;
  stop();
  more.hidden = !next;
  allowMore(next);
}

/** Let the next page be asked for, also again after that failed. */
export function allowMore(next) {
  onMore = next;
  more.disabled = false;
  more.textContent = "Show more";
  if (next) nearEnd.observe(more);
}

/** Move the focus to the shoe at `index`: the one in the place of one that went. */
export function focusShoe(index) {
  const entry = grid.children[Math.min(index, grid.children.length - 1)];
  entry?.querySelector("a")?.focus({ preventScroll: true });
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
  stop();
  end.textContent = "";
  empty.hidden = true;
}
