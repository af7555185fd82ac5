// One shoe: its picture over what the network kept of it, what is known of it, and its neighbours by each condition.

import { embedPhoto, findSimilar, getItem, getPicture, imageOf, reconstructionOf } from "../base/api.js";
import { icon, link, make, vary } from "../base/dom.js";
import { framed, image, nearness } from "../base/shoes.js";
import * as routes from "../base/route.js";
import * as words from "../base/words.js";
import { known, meet } from "../search/search.js";
import { boxOf } from "../photo/margin.js";
import { explain, isAbsent } from "./api.js";
import { iconButton, percent } from "./parts.js";
import { pick } from "./picker.js";

const NEIGHBOURS = 12;

/** Side of the picture over the drawing, in pixels. */
const SIDE = 720;

const to = (id, other = null) => ({ name: "shoe", id, with: other });

async function measure(address) {
  const picture = await getPicture(address);
  const bitmap = await createImageBitmap(picture);
  return { picture, bitmap, box: boxOf(bitmap) };
}

/** Where the network finds the shoe in a picture that has no white margin; null where it does not look for it. */
async function find({ picture, bitmap: { width, height } }, signal) {
  const { subject } = await embedPhoto(picture, {}, { signal });
  return subject && subject.box.map((share, index) => share * (index % 2 ? height : width));
}

/** The network sees the shoe without its margin: show the picture as it does, so that the drawing lies over it. */
async function align(frame, shoe, name, signal) {
  const [picture, drawn] = await Promise.all([imageOf(shoe), reconstructionOf(shoe)].map(measure));
  picture.box ??= await find(picture, signal);
  if (!picture.box || !drawn.box) return;
  const [left, top, width, height] = picture.box;
  const [x, y, across, down] = drawn.box;
  const unit = SIDE / drawn.bitmap.width; // pixels of the canvas to one of the drawing
  const scale = (Math.max(across, down) * unit) / Math.max(width, height);
  const canvas = make("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": name });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, SIDE, SIDE);
  context.drawImage(
    picture.bitmap,
    (x + across / 2) * unit - (left + width / 2) * scale,
    (y + down / 2) * unit - (top + height / 2) * scale,
    picture.bitmap.width * scale,
    picture.bitmap.height * scale,
  );
  frame.replaceChildren(canvas);
}

/** The picture over the drawing, and a slider that moves the edge between them. */
function reveal(shoe, name, signal) {
  const original = framed(imageOf(shoe), { alt: name, loading: "eager", side: 360 });
  align(original, shoe, name, signal).catch(() => {}); // then they lie over each other as they are
  const drawn = framed(reconstructionOf(shoe), {
    alt: `${name}, as the network redraws it`,
    loading: "eager",
    side: 360,
    otherwise: "No drawing",
  });
  drawn.classList.add("drawn");
  const stage = vary(make("div", { class: "reveal" }, original, drawn), "at", "50%");
  const slider = make("input", {
    type: "range",
    min: 0,
    max: 100,
    value: 50,
    "aria-label": "How much of the drawing to show over the picture, in percent",
    input: () => vary(stage, "at", `${slider.value}%`),
  });
  stage.append(make("span", { class: "edge", "aria-hidden": "true" }), slider);
  const ends = make("p", { class: "reveal-ends fine", "aria-hidden": "true" }, make("span", {}, "Drawing"), make("span", {}, "Picture"));
  return make("div", { class: "reveal-box" }, stage, ends);
}

function facts(shoe, keys) {
  const pairs = words.factsOf(shoe, keys);
  const row = (term, text) => make("div", {}, make("dt", {}, term), make("dd", {}, text));
  return make("dl", { class: "facts" }, ...pairs.map(([key, values]) => row(words.label(key), values.join(", "))), row("Id", shoe.id));
}

function actions(shoe, info) {
  const morph = async () => {
    const other = await pick("Morph into which shoe?", info);
    if (other) routes.go({ name: "morph", from: shoe.id, to: other.id });
  };
  const compare = async () => {
    const other = await pick("Compare with which shoe?", info);
    if (other) routes.go(to(shoe.id, other.id));
  };
  return make(
    "p",
    { class: "buttons" },
    iconButton("search", "Find shoes like this", () => routes.go({ item: shoe.id }), { class: "button primary" }),
    iconButton("compare", "Compare", compare),
    iconButton("morph", "Morph", morph),
  );
}

function about(shoe, info) {
  const name = words.describe(shoe, info.attributes).name;
  const { price, link: address } = words.offerOf(shoe);
  const head = make("div", { class: "shoe-about" }, make("h1", { tabindex: -1 }, name));
  if (price !== null) head.append(make("p", { class: "shoe-price" }, price));
  if (address) {
    const shop = make("a", { href: address, rel: "noopener noreferrer", target: "_blank", class: "shop" }, "See it in the shop", icon("open"));
    head.append(make("p", {}, shop));
  }
  head.append(actions(shoe, info), facts(shoe, info.attributes));
  return head;
}

/** Why two shoes are alike, side by side: which conditions make their distance, and which attributes agree. */
async function showWhy(section, shoe, otherId, { info, signal }) {
  section.classList.add("loading");
  section.hidden = false;
  const [other, why] = await Promise.all([
    known(otherId) ?? getItem(otherId, { signal }),
    explain(shoe.id, otherId, { signal }).catch((error) => {
      if (!isAbsent(error) || error.field) throw error;
      return null; // an older service says nothing about that
    }),
  ]);
  signal.throwIfAborted();
  meet([other]);
  section.classList.remove("loading");
  const side = (each) => {
    const name = words.describe(each, info.attributes).name;
    return link(
      { class: "side-by-side", href: routes.format(to(each.id)), go: () => routes.go(to(each.id)) },
      image(each, { alt: "", side: 200 }),
      make("span", { class: "name" }, name),
    );
  };
  const title = why ? (why.score < words.RELATED ? "How they differ" : "Why they are alike") : "Side by side";
  const close = iconButton("close", "Close the comparison", () => routes.go(to(shoe.id)), { quiet: true });
  section.replaceChildren(
    make("div", { class: "section-head" }, make("h2", { tabindex: -1 }, title), close),
    make("div", { class: "why" }, make("div", { class: "pair" }, side(shoe), side(other)), why ? reasons(why) : "", agreements(shoe, other, info)),
  );
}

function reasons({ distance, score, conditions }) {
  const bar = ({ name, distance: far, share }) =>
    make(
      "li",
      {},
      make("span", {}, words.slice(name)),
      vary(make("span", { class: "meter", "aria-hidden": "true" }), "share", share),
      make("span", { class: "fine", title: `distance ${words.distance(far)}` }, percent(share)),
    );
  return make(
    "div",
    { class: "reasons" },
    make("h3", {}, "What makes the distance"),
    nearness({ distance, score }),
    make("ul", { class: "bars" }, ...conditions.map(bar)),
    make("p", { class: "fine" }, "Each bar is the part of the squared distance that this slice of the vectors makes: the shorter, the more alike."),
  );
}

function agreements(shoe, other, info) {
  const keys = [...new Set([shoe, other].flatMap((each) => words.attributesOf(each, info.attributes).map(([key]) => key)))];
  const values = (each, key) => each.attributes[key] ?? [];
  const rows = keys
    .filter((key) => !words.isAddress([...values(shoe, key), ...values(other, key)]))
    .map((key) => {
      const [one, two] = [values(shoe, key), values(other, key)];
      const agree = one.length > 0 && one.some((value) => two.includes(value));
      return make(
        "tr",
        agree ? { class: "agrees" } : {},
        make("th", { scope: "row" }, words.label(key)),
        make("td", {}, one.join(", ") || "–"),
        make("td", {}, two.join(", ") || "–"),
        make("td", {}, make("span", { class: agree ? "yes" : "no" }, agree ? "same" : "differs")),
      );
    });
  const head = ["Attribute", "This shoe", "The other", "Agree"].map((text) => make("th", { scope: "col" }, text));
  return make("table", { class: "agreements" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}

/** A small card that leads to a shoe. */
function smallCard(shoe, { keys, href, go }) {
  const { name, all } = words.describe(shoe, keys);
  const card = link(
    { class: "card small", href, go, "data-id": shoe.id, title: all },
    image(shoe, { side: 120 }),
    make("span", { class: "name" }, name),
  );
  if (shoe.distance !== undefined) card.append(nearness(shoe));
  return card;
}

function row(shoe, condition, { info, signal }) {
  const overall = condition === info.conditions[0];
  const title = overall ? "Most alike" : `Alike by ${words.label(condition).toLowerCase()}`;
  const list = make("ul", { class: "row", tabindex: 0, "aria-label": title, "aria-busy": "true" });
  list.append(...Array.from({ length: 6 }, () => make("li", { class: "skeleton" }, make("span", { class: "frame" }))));
  const route = { item: shoe.id, condition: overall ? null : condition };
  const all = link({ href: routes.format(route), go: () => routes.go(route), class: "link" }, "See all", make("span", { class: "unseen" }, `: ${title}`));
  const section = make("section", {}, make("div", { class: "section-head" }, make("h2", {}, title), all), list);
  const fill = async () => {
    const fold = info.duplicate_distance !== null;
    const k = Math.min(NEIGHBOURS, info.limits.max_k);
    const { hits } = await findSimilar(shoe.id, { filters: [], hidden: [], condition, fold, k, signal });
    signal.throwIfAborted();
    meet(hits);
    list.removeAttribute("aria-busy");
    const entry = (hit) =>
      make(
        "li",
        {},
        smallCard(hit, { keys: info.attributes, href: routes.format(to(hit.id, shoe.id)), go: () => routes.go(to(hit.id, shoe.id)) }),
        iconButton("compare", `Compare with ${words.describe(hit, info.attributes).all}`, () => routes.go(to(shoe.id, hit.id)), { quiet: true }),
      );
    list.replaceChildren(...(hits.length ? hits.map(entry) : [make("li", { class: "fine" }, "There is no other shoe.")]));
  };
  return [section, fill];
}

let shownId = null; // the shoe whose page is in the view

/** Show a shoe, beside another where the route names one. */
export async function show(view, route, { info, changed, signal }) {
  const same = shownId === route.id && view.querySelector("h1") !== null;
  const options = { info, signal };
  if (!same) {
    shownId = null;
    view.replaceChildren(make("div", { class: "shoe-top" }, make("div", { class: "reveal loading" }), make("div")));
    if (!changed) window.scrollTo(0, 0);
  }
  const shoe = known(route.id) ?? (await getItem(route.id, { signal }));
  signal.throwIfAborted();
  meet([shoe]);
  const { name } = words.describe(shoe, info.attributes);
  document.title = `${name} · solemate`;
  let fills = [];
  if (!same || view.querySelector("[aria-busy]")) {
    const rows = info.conditions.map((condition) => row(shoe, condition, options));
    fills = rows.map(([, fill]) => fill());
    const why = make("section", { class: "why-section", hidden: true });
    const manage = make("section", { class: "manage", hidden: true });
    view.replaceChildren(
      make("div", { class: "shoe-top" }, reveal(shoe, name, signal), about(shoe, info)),
      manage,
      why,
      make("div", { class: "rows" }, ...rows.map(([section]) => section)),
    );
    shownId = route.id;
    const redraw = (edited) => view.querySelector(".shoe-about").replaceWith(about(edited, info));
    import("./admin.js").then((admin) => admin.showEditor(manage, shoe, redraw));
    view.querySelector("h1").focus({ preventScroll: true });
  }
  const section = view.querySelector(".why-section");
  if (route.with) {
    await showWhy(section, shoe, route.with, options);
    if (same) {
      section.querySelector("h2").focus({ preventScroll: true });
      section.scrollIntoView({ block: "nearest" });
    }
  } else {
    section.hidden = true;
    section.replaceChildren();
  }
  await Promise.all(fills);
}
