// The way from one shoe to another, and a shoe with one trait of another: what is drawn, and the nearest real shoe.

import { getItem, toApiError } from "../base/api.js";
import { link, make, vary } from "../base/dom.js";
import { say } from "../base/notice.js";
import { framed, image, nearness } from "../base/shoes.js";
import * as routes from "../base/route.js";
import { describe, slice } from "../base/words.js";
import { known, meet } from "../search/search.js";
import { interpolate, swap } from "./api.js";
import { iconButton, percent } from "./parts.js";
import { pick, surprise } from "./picker.js";

const STEPS = 11;

let drawn = null; // {key, steps}: the way that is on the screen
let info = null;

/** The route on the screen, with the step and the trait that were chosen since it came there. */
const here = () => routes.parse(location.hash);

const toShoe = (id) => ({ name: "shoe", id });

function nameOf(shoe) {
  return describe(shoe, info.attributes).name;
}

function slot(title, shoe, onPick) {
  const choose = async () => {
    const other = await pick(`${title}: which shoe?`, info);
    if (other) onPick(other.id);
  };
  return make(
    "div",
    { class: "slot" },
    make("p", { class: "fine" }, title),
    link({ class: "slot-picture", href: routes.format(toShoe(shoe.id)), go: () => routes.go(toShoe(shoe.id)) }, image(shoe, { side: 96, loading: "eager" }), make("span", { class: "name" }, nameOf(shoe))),
    make("button", { type: "button", class: "chip-button", click: choose }, "Change", make("span", { class: "unseen" }, `: ${title}`)),
  );
}

function realShoe(hit, text) {
  return link(
    { class: "card small", href: routes.format(toShoe(hit.id)), go: () => routes.go(toShoe(hit.id)) },
    make("span", { class: "fine tag" }, text),
    image(hit, { side: 200, loading: "eager" }),
    make("span", { class: "name" }, nameOf(hit)),
    nearness(hit),
  );
}

function drawing(address, text, ...below) {
  const kind = below.length ? "" : " picture-only";
  return make("div", { class: `card small drawn-card${kind}` }, make("span", { class: "fine tag" }, text), framed(address, { alt: text, side: 200, loading: "eager" }), ...below);
}

/** How far along the way a drawing is: the counterpart of how near the real shoe beside it is. */
function along(position, to) {
  const bar = vary(make("span", { class: "meter", "aria-hidden": "true" }), "share", position);
  const aim = make("span", { class: "aim" }, `to ${nameOf(to)}`);
  return [make("span", { class: "name" }, `${percent(position)} of the way`), make("span", { class: "nearness" }, aim, bar)];
}

/** The stage with the slider over all steps. */
function way({ step }, to, steps) {
  const stage = make("div", { class: "stage" });
  const film = make("ol", { class: "film" });
  const slider = make("input", {
    type: "range",
    min: 0,
    max: steps.length - 1,
    "aria-label": "Step of the way",
    input: () => choose(slider.valueAsNumber),
  });
  const buttons = steps.map(({ image: address, nearest }, index) =>
    make(
      "button",
      { type: "button", "aria-label": `Step ${index + 1} of ${steps.length}: nearest is ${nameOf(nearest)}`, click: () => choose(index) },
      framed(address, { side: 64 }),
      image(nearest, { side: 64 }),
    ),
  );
  film.append(...buttons.map((button) => make("li", {}, button)));

  function showStep(index) {
    const { position, image: picture, nearest } = steps[index];
    slider.value = index;
    slider.setAttribute("aria-valuetext", `${percent(position)} of the way, nearest is ${nameOf(nearest)}`);
    buttons.forEach((button, at) => {
      if (at === index) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    // On a phone the film is wider than the screen.
    requestAnimationFrame(() => film.scrollTo({ left: buttons[index].offsetLeft - (film.clientWidth - buttons[index].offsetWidth) / 2 }));
    stage.replaceChildren(drawing(picture, "Drawn by the network", ...along(position, to)), realShoe(nearest, "Nearest in the catalogue"));
  }

  const choose = (index) => {
    showStep(index);
    routes.amend({ ...here(), step: index });
  };
  const given = Number(step ?? Math.floor(steps.length / 2));
  showStep(Number.isInteger(given) && given >= 0 && given < steps.length ? given : 0);
  return make("section", { class: "way" }, stage, slider, film);
}

function swaps(route, from, other, section, { signal }) {
  const slices = Object.keys(info.slices);
  const choices = make("div", { class: "segments", role: "group", "aria-label": "Trait to take over" });
  const result = make("div", { class: "swap-result" });
  let asked = null; // the trait that was chosen last
  const showSwap = async (condition) => {
    asked = condition;
    for (const button of choices.children) button.setAttribute("aria-pressed", String(button.dataset.slice === condition));
    result.setAttribute("aria-busy", "true");
    try {
      const { before, after } = await swap(from.id, condition, other.id, { signal });
      signal.throwIfAborted();
      if (asked !== condition) return;
      meet([before.nearest, after.nearest]);
      result.replaceChildren(
        drawing(before.image, "As it is"),
        drawing(after.image, `With the other's ${slice(condition).toLowerCase()}`),
        realShoe(after.nearest, "Nearest to that"),
      );
    } finally {
      if (asked === condition) result.removeAttribute("aria-busy");
    }
  };
  choices.append(
    ...slices.map((name) =>
      make(
        "button",
        {
          type: "button",
          class: "segment",
          "data-slice": name,
          click: () => {
            routes.amend({ ...here(), swap: name });
            showSwap(name).catch(() => {
              if (asked === name) result.replaceChildren(make("p", { class: "fine" }, "This could not be drawn."));
            });
          },
        },
        slice(name),
      ),
    ),
  );
  section.replaceChildren(
    make("h2", {}, "Swap one trait"),
    make("p", { class: "fine" }, `${nameOf(from)}, drawn with one slice of the vector of ${nameOf(other)}.`),
    choices,
    result,
  );
  return showSwap(slices.includes(route.swap) ? route.swap : slices[0]);
}

async function shoeOf(id, signal) {
  const shoe = known(id) ?? (await getItem(id, { signal }));
  meet([shoe]);
  return shoe;
}

/** Show the way between the two shoes of a route; one without them gets two at random. */
export async function show(view, route, { info: served, signal }) {
  info = served;
  document.title = "Morph · solemate";
  if (!route.from || !route.to) {
    const [one, two] = await surprise({ signal });
    signal.throwIfAborted();
    routes.go({ name: "morph", from: route.from ?? one.id, to: route.to ?? two.id }, { replace: true });
    return;
  }
  const key = `${route.from}\n${route.to}`;
  if (drawn?.key !== key) view.replaceChildren(make("h1", {}, "Morph"), make("div", { class: "stage" }, make("div", { class: "tile loading" }), make("div", { class: "tile loading" })));
  const [from, to] = await Promise.all([shoeOf(route.from, signal), shoeOf(route.to, signal)]);
  const steps = drawn?.key === key ? drawn.steps : await interpolate(from.id, to.id, STEPS, { signal });
  signal.throwIfAborted();
  drawn = { key, steps };
  meet(steps.map(({ nearest }) => nearest));
  const go = (change) => routes.go({ name: "morph", from: from.id, to: to.id, swap: here().swap, ...change });
  const shuffle = async () => {
    try {
      const [one, two] = await surprise({ signal });
      signal.throwIfAborted();
      go({ from: one.id, to: two.id });
    } catch (cause) {
      if (signal.aborted) return;
      const error = toApiError(cause);
      say(error.title, error.message);
    }
  };
  const section = make("section", { class: "swaps" });
  view.replaceChildren(
    make(
      "div",
      { class: "section-head" },
      make("h1", { tabindex: -1 }, "Morph"),
      make(
        "p",
        { class: "buttons" },
        iconButton("swap", "Exchange", () => go({ from: to.id, to: from.id }), { class: "button small" }),
        iconButton("dice", "Surprise me", shuffle, { class: "button small" }),
      ),
    ),
    make("p", { class: "fine lead" }, "Between two shoes lie others. Each step is drawn by the network from a point on the straight line between the two vectors; beside it is the shoe of the catalogue that lies nearest, other than the two."),
    make(
      "div",
      { class: "morph" },
      make(
        "div",
        { class: "slots" },
        slot("From", from, (id) => go({ from: id })),
        slot("To", to, (id) => go({ to: id })),
      ),
      way(route, to, steps),
    ),
    section,
  );
  view.querySelector("h1").focus({ preventScroll: true });
  await swaps(route, from, to, section, { signal });
}
