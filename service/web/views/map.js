// The catalogue in two dimensions: near on the map is mostly near by vector.

import { getItem, imageOf } from "../base/api.js";
import { draw, link, make, vary } from "../base/dom.js";
import { framed, image } from "../base/shoes.js";
import { toast } from "../base/notice.js";
import * as routes from "../base/route.js";
import { count, describe, label, shoes } from "../base/words.js";
import * as among from "../search/among.js";
import { known, meet } from "../search/search.js";
import { getAtlas, getMap, getTile, isAbsent } from "./api.js";
import { iconButton } from "./parts.js";
import { open } from "./points.js";

/** Colours of the most frequent values; all others, and shoes without a value, are grey. */
const PALETTE = ["#2f7ed8", "#e8743b", "#19a979", "#c94f7c", "#8e6bbf", "#d9a400", "#13a4b4", "#a05d2c", "#6b8e23", "#d64545"];
const OTHER = "#8a928d";

/** Points in sight up to which their thumbnails are drawn. */
const FEW = 600;

/** How much longer one side of the map may be drawn than the other. */
const STRETCH = 1.4;

/** Screen pixels around the map: half of the largest thumbnail, and a little. */
const MARGIN = 32;

/** Screen pixels around a pointer in which a point is found. */
const REACH = 14;

/** Shoes of a choice that a search for others like them takes as its examples. */
const EXAMPLES = 24;

const MOST_ZOOM = 120;

/** From where all of the map is seen. */
const WHOLE = { x: 0.5, y: 0.5, zoom: 1 };

const METHODS = { opentsne: "laid out by t-SNE", pca: "laid out by two principal components" };

/** Screen pixels that a press may move and still be a click. */
const STILL = 6;

// What is loaded: {ids, x, y, values, tiles, info}; the canvas that it is drawn on: {canvas, points, pictured}, as
// a browser has room for few; and how it was left: {view, chosen}.
let map = null;

async function load(progress, signal) {
  const info = await getMap({ signal });
  const total = info.items;
  const loaded = { info, ids: new Array(total), x: new Float32Array(total), y: new Float32Array(total), values: {}, tiles: [] };
  let first = 0;
  for (let number = 0; number < info.tiles; number += 1) {
    const tile = await getTile(number, { signal });
    tile.ids.forEach((id, index) => {
      loaded.ids[first + index] = id;
      loaded.x[first + index] = tile.x[index] / 65535;
      loaded.y[first + index] = tile.y[index] / 65535;
    });
    for (const [name, indices] of Object.entries(tile.values)) {
      // Each tile may have a legend of its own.
      loaded.values[name] ??= new Array(total).fill(null);
      indices.forEach((at, index) => {
        loaded.values[name][first + index] = at === null || at < 0 ? null : tile.legend[name][at];
      });
    }
    loaded.tiles.push({ first, number: tile.ids.length });
    first += tile.ids.length;
    progress(first / total);
  }
  return loaded;
}

/** The values of an attribute, the most frequent first, with their colours. */
function legendOf(name) {
  const counts = new Map();
  for (const value of map.values[name] ?? []) if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1);
  const sorted = [...counts].sort((one, other) => other[1] - one[1]);
  return sorted.map(([value, number], index) => ({ value, number, colour: PALETTE[index] ?? OTHER }));
}

/** The points of the map on a canvas; null where the browser has no WebGL 2. */
function lay(canvas) {
  const points = open(canvas, map.ids.length);
  if (!points) return null;
  for (const { first, number } of map.tiles) {
    const places = new Uint16Array(number * 2);
    for (let index = 0; index < number; index += 1) {
      places[2 * index] = map.x[first + index] * 65535;
      places[2 * index + 1] = map.y[first + index] * 65535;
    }
    points.place(first, places);
  }
  return points;
}

function bytesOf(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

/** The map on its canvas: where it is looked at from, what is marked, and how it answers to pointers and keys. */
class Chart {
  constructor(canvas, outline, { onHover, onOpen, onLasso }) {
    Object.assign(this, { canvas, outline, onHover, onOpen, onLasso });
    this.view = map.view ?? { ...WHOLE };
    this.points = map.points;
    this.colours = new Uint8Array(map.ids.length * 4);
    this.chosen = map.chosen ?? null; // the lassoed points, as a Set
    this.only = null; // the value of the legend that stands out
    this.pointers = new Map();
    this.lassoing = false;
    this.path = [];
  }

  start(signal) {
    const { canvas } = this;
    const listen = (kind, act, options) => canvas.addEventListener(kind, act, { signal, ...options });
    listen("pointerdown", (event) => this.press(event));
    listen("pointermove", (event) => this.drag(event));
    for (const kind of ["pointerup", "pointercancel"]) listen(kind, (event) => this.release(event));
    listen("pointerleave", ({ pointerType }) => pointerType === "mouse" && this.onHover(null));
    listen("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY * 0.002), this.place(event));
    }, { passive: false });
    // Else Chromium takes a finger that is lifted while it moves for a fling, and the next tap for what stops it.
    listen("touchmove", (event) => event.preventDefault(), { passive: false });
    listen("keydown", (event) => this.key(event));
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(canvas);
    signal.addEventListener("abort", () => {
      observer.disconnect();
      // Back returns to the map as it was left.
      Object.assign(map, { view: this.view, chosen: this.chosen });
    });
  }

  resize() {
    const ratio = window.devicePixelRatio;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    this.later();
  }

  /** Pixels of the screen that the map has across and down; it is stretched a little to fill its place. */
  get sides() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const least = Math.min(width, height) * STRETCH;
    return [Math.min(width, least), Math.min(height, least)].map((side) => (side - 2 * MARGIN) * this.view.zoom);
  }

  screen(index) {
    const { clientWidth, clientHeight } = this.canvas;
    const [across, down] = this.sides;
    return [
      clientWidth / 2 + (map.x[index] - this.view.x) * across,
      clientHeight / 2 - (map.y[index] - this.view.y) * down,
    ];
  }

  place({ offsetX, offsetY }) {
    return [offsetX, offsetY];
  }

  zoomBy(factor, [x, y] = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]) {
    const before = this.sides;
    this.view.zoom = Math.min(MOST_ZOOM, Math.max(0.8, this.view.zoom * factor));
    const after = this.sides;
    const [right, up] = [x - this.canvas.clientWidth / 2, this.canvas.clientHeight / 2 - y];
    this.view.x += right / before[0] - right / after[0];
    this.view.y += up / before[1] - up / after[1];
    this.later();
  }

  moveBy(right, down) {
    const [across, high] = this.sides;
    this.view.x = Math.min(1, Math.max(0, this.view.x - right / across));
    this.view.y = Math.min(1, Math.max(0, this.view.y + down / high));
    this.later();
  }

  whole() {
    this.view = { ...WHOLE };
    this.later();
  }

  later() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio;
    let seen = 0;
    const sides = this.sides;
    const [across, down] = [width / 2 / sides[0], height / 2 / sides[1]];
    for (let index = 0; index < map.ids.length; index += 1) {
      if (Math.abs(map.x[index] - this.view.x) < across && Math.abs(map.y[index] - this.view.y) < down) seen += 1;
    }
    const scale = [(2 * sides[0]) / width, (2 * sides[1]) / height];
    const pictured = seen <= FEW;
    const size = pictured ? Math.min(56, Math.max(22, 900 / Math.sqrt(seen + 1))) : Math.min(12, 4 + 1.6 * Math.log2(this.view.zoom + 0.5) + 400 / Math.sqrt(map.ids.length * 16));
    this.points.draw({ scale, shift: [-this.view.x * scale[0], -this.view.y * scale[1]], size: size * ratio, pictured });
    this.canvas.dataset.pictured = pictured;
  }

  colour(name, legend) {
    const colours = new Map(legend.map(({ value, colour }) => [value, bytesOf(colour)]));
    const other = bytesOf(OTHER);
    for (let index = 0; index < map.ids.length; index += 1) {
      const value = map.values[name]?.[index] ?? null;
      const out = (this.chosen && !this.chosen.has(index)) || (this.only !== null && value !== this.only);
      this.colours.set(colours.get(value) ?? other, 4 * index);
      this.colours[4 * index + 3] = out ? 45 : 215;
    }
    this.points.tint(this.colours);
    this.later();
  }

  nearest([x, y], reach = REACH) {
    let [best, least] = [null, reach * reach];
    const { clientWidth, clientHeight } = this.canvas;
    const [across, down] = this.sides;
    for (let index = 0; index < map.ids.length; index += 1) {
      const right = clientWidth / 2 + (map.x[index] - this.view.x) * across - x;
      const below = clientHeight / 2 - (map.y[index] - this.view.y) * down - y;
      const far = right * right + below * below;
      if (far < least) [best, least] = [index, far];
    }
    return best;
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.place(event);
    this.pointers.set(event.pointerId, at);
    this.moved = 0;
    if (this.lassoing) this.path = [at];
  }

  drag(event) {
    const at = this.place(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") this.onHover(this.nearest(at));
      return;
    }
    this.pointers.set(event.pointerId, at);
    this.moved += Math.hypot(at[0] - before[0], at[1] - before[1]);
    if (this.lassoing) {
      this.path.push(at);
      this.outline.setAttribute("d", `M${this.path.map((each) => each.join(" ")).join("L")}Z`);
      return;
    }
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const gap = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
      this.zoomBy(gap(at) / Math.max(1, gap(before)), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
    } else {
      this.moveBy(at[0] - before[0], at[1] - before[1]);
    }
    if (this.moved >= STILL) this.onHover(null);
  }

  release(event) {
    const at = this.place(event);
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.lassoing) {
      this.outline.setAttribute("d", "");
      if (this.path.length > 4) this.onLasso(this.inside(this.path));
      this.path = [];
    } else if (this.moved < STILL && event.type === "pointerup") {
      const index = this.nearest(at, event.pointerType === "mouse" ? REACH : 2 * REACH);
      if (index !== null) this.onOpen(index, event.pointerType);
    }
  }

  inside(path) {
    const found = new Set();
    for (let index = 0; index < map.ids.length; index += 1) {
      const [x, y] = this.screen(index);
      let within = false;
      for (let at = 0, before = path.length - 1; at < path.length; before = at, at += 1) {
        const [[x1, y1], [x2, y2]] = [path[at], path[before]];
        if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) within = !within;
      }
      if (within) found.add(index);
    }
    return found;
  }

  /** The shoe under the cross in the middle, which keys move the map below. */
  get middle() {
    return this.nearest([this.canvas.clientWidth / 2, this.canvas.clientHeight / 2], 60);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 48;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (event.key in moves) this.moveBy(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.4);
    else if (event.key === "-") this.zoomBy(1 / 1.4);
    else if (event.key === "0") this.whole();
    else if (event.key === "Enter" && this.middle !== null) this.onOpen(this.middle, "key");
    else return;
    event.preventDefault();
    this.onHover(this.middle);
  }
}

function legend(chart, entries, redraw) {
  const one = ({ value, number, colour }) => {
    const swatch = vary(make("span", { class: "swatch", "aria-hidden": "true" }), "swatch", colour);
    const toggle = () => {
      chart.only = chart.only === value ? null : value;
      redraw();
    };
    return make("li", {}, make("button", { type: "button", "aria-pressed": chart.only === value, click: toggle }, swatch, make("span", {}, value), make("span", { class: "fine" }, count(number))));
  };
  const named = entries.slice(0, PALETTE.length);
  const rest = entries.slice(PALETTE.length).reduce((sum, { number }) => sum + number, 0);
  const items = named.map(one);
  if (rest) items.push(make("li", { class: "fine" }, vary(make("span", { class: "swatch" }), "swatch", OTHER), `others: ${count(rest)}`));
  return items;
}

function absent(view, error) {
  view.replaceChildren(
    make("h1", { tabindex: -1 }, "Map"),
    make("div", { class: "empty" }, make("p", {}, "No map of this catalogue has been computed."), make("p", { class: "fine" }, error.message)),
  );
}

/** Show the map. */
export async function show(view, route, { info, signal }) {
  document.title = "Map · solemate";
  if (map && map.catalog !== info.catalog.fingerprint) map = null;
  if (!map) {
    const bar = vary(make("span", { class: "meter" }), "share", 0);
    view.replaceChildren(make("h1", {}, "Map"), make("p", { class: "fine" }, "Loading the map…"), bar);
    try {
      const loaded = await load((share) => vary(bar, "share", share), signal);
      map = { ...loaded, catalog: info.catalog.fingerprint, pictured: new Set() };
    } catch (error) {
      if (!isAbsent(error)) throw error;
      absent(view, error);
      return;
    }
  }
  signal.throwIfAborted();
  build(view, route, { info, signal });
}

function build(view, route, { info, signal }) {
  map.canvas ??= make("canvas", {
    class: "map-canvas",
    tabindex: 0,
    role: "application",
    "aria-label": "Map of the catalogue",
    "aria-describedby": "map-hint",
  });
  const { canvas } = map;
  map.points ??= lay(canvas);
  if (!map.points) {
    view.replaceChildren(make("h1", {}, "Map"), make("p", { class: "empty" }, "This browser has no WebGL 2, with which the map is drawn."));
    return;
  }
  canvas.classList.remove("lassoing");
  const outline = draw("path", {});
  const svg = draw("svg", { class: "lasso", "aria-hidden": "true" }, outline);
  const tip = make("div", { class: "tip", role: "status" });
  const names = map.info.attributes;
  const select = make("select", { class: "theme", "aria-label": "Colour by" }, ...names.map((name) => make("option", { value: name }, label(name))));
  const list = make("ul", { class: "legend", "aria-label": "Colours" });
  const side = make("div", { class: "selection", hidden: true });
  let tipped = null;

  const hover = async (index) => {
    if (index === tipped) return;
    tipped = index;
    if (index === null) {
      tip.replaceChildren();
      return;
    }
    const id = map.ids[index];
    const shoe = known(id) ?? (await getItem(id, { signal }).catch(() => null));
    if (tipped !== index || !shoe) return;
    meet([shoe]);
    const [x, y] = chart.screen(index);
    tip.replaceChildren(framed(imageOf(shoe), { side: 96, loading: "eager" }), make("span", { class: "name" }, describe(shoe, info.attributes).name));
    vary(vary(tip, "x", `${Math.min(Math.max(x, 70), canvas.clientWidth - 70)}px`), "y", `${y}px`);
    tip.classList.toggle("below", y < 160);
  };
  const openShoe = (index, way) => {
    // A finger has no hovering: the first tap tells which shoe it is, the second opens it.
    if (way === "touch" && tipped !== index) hover(index);
    else routes.go({ name: "shoe", id: map.ids[index] });
  };
  const repaint = () => {
    const entries = legendOf(select.value);
    chart.colour(select.value, entries);
    list.replaceChildren(...legend(chart, entries, repaint));
  };
  const choose = (found, cleared = false) => {
    if (!found.size && !cleared) toast("There is no shoe in there.");
    chart.chosen = found.size ? found : null;
    lasso.setAttribute("aria-pressed", "false");
    chart.lassoing = false;
    canvas.classList.remove("lassoing");
    repaint();
    showSelection(side, [...found], clear);
    side.scrollIntoView({ block: "nearest" }); // where there is no room for it beside the map
  };
  const clear = () => choose(new Set(), true);
  const chart = new Chart(canvas, outline, { onHover: hover, onOpen: openShoe, onLasso: choose });
  const lasso = iconButton("lasso", "Lasso", () => {
    chart.lassoing = !chart.lassoing;
    lasso.setAttribute("aria-pressed", String(chart.lassoing));
    canvas.classList.toggle("lassoing", chart.lassoing);
  }, { class: "button small", "aria-pressed": "false" });
  const among = iconButton("plus", "All in view", () => {
    const { clientWidth: width, clientHeight: height } = canvas;
    choose(chart.inside([[0, 0], [width, 0], [width, height], [0, height]]));
  }, { class: "button small" });
  const quiet = (name, text, act) => iconButton(name, text, act, { quiet: true });
  view.replaceChildren(
    make(
      "div",
      { class: "section-head map-head" },
      make("h1", { tabindex: -1 }, "Map"),
      make("p", { class: "fine" }, `${shoes(map.ids.length)}, ${METHODS[map.info.method] ?? map.info.method}: neighbours are mostly alike${map.info.stale ? ". The catalogue has changed since" : ""}`),
    ),
    make(
      "div",
      { class: "map" },
      make(
        "div",
        { class: "map-bar" },
        make("label", { class: "fine" }, make("span", { class: "words" }, "Colour by "), select),
        lasso,
        among,
      ),
      make(
        "div",
        { class: "map-stage" },
        canvas,
        svg,
        make("span", { class: "cross", "aria-hidden": "true" }),
        tip,
        make(
          "div",
          { class: "zoom" },
          quiet("plus", "Nearer", () => chart.zoomBy(1.6)),
          quiet("minus", "Farther", () => chart.zoomBy(1 / 1.6)),
          quiet("whole", "All of the map", () => chart.whole()),
        ),
      ),
      list,
      side,
    ),
    make("p", { class: "fine", id: "map-hint" }, "Drag to move, scroll or pinch to zoom, click a shoe to open it. By keyboard: arrows move, + and − zoom, 0 shows all, Enter opens the shoe at the cross."),
  );
  if (names.includes(route.color)) select.value = route.color;
  select.addEventListener("change", () => {
    chart.only = null;
    routes.amend({ name: "map", color: select.value });
    repaint();
  });
  chart.start(signal);
  repaint();
  showSelection(side, [...(chart.chosen ?? [])], clear);
  map.tiles.forEach(({ first }, number) => {
    if (map.pictured.has(number)) return;
    getAtlas(number, { signal })
      .then((bitmap) => {
        map.pictured.add(number);
        map.points.picture(first, bitmap, map.info.thumbnail);
        chart.later();
      })
      .catch(() => {}); // then they stay points
  });
}

/** The lassoed shoes, and the ways on with them. */
function showSelection(side, found, clear) {
  side.hidden = found.length === 0;
  if (side.hidden) return;
  const ids = found.map((index) => map.ids[index]);
  const every = Math.max(1, Math.floor(ids.length / EXAMPLES));
  const likes = ids.filter((_, index) => index % every === 0).slice(0, EXAMPLES);
  const entry = (id) => {
    const route = { name: "shoe", id };
    return make("li", {}, link({ href: routes.format(route), go: () => routes.go(route), "aria-label": `Shoe ${id}` }, image({ id }, { side: 64 })));
  };
  const shared = map.info.attributes.flatMap((name) => {
    const counts = new Map();
    for (const index of found) {
      const value = map.values[name]?.[index] ?? null;
      if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    const [most] = [...counts].sort((one, other) => other[1] - one[1]);
    return most && most[1] > found.length / 2 ? [`${label(name)}: ${most[0]}`] : [];
  });
  side.replaceChildren(
    make("div", { class: "section-head" }, make("h2", {}, `${shoes(found.length)} chosen`), iconButton("close", "Clear the choice", clear, { quiet: true })),
    ...(shared.length ? [make("p", { class: "fine" }, `Mostly ${shared.join(", ")}`)] : []),
    make(
      "p",
      { class: "buttons" },
      iconButton("search", `Search among these ${count(ids.length)}`, () => routes.go({ among: among.keep(ids) }), {
        class: "button small primary",
        disabled: ids.length > among.MOST,
      }),
      iconButton("like", "Find shoes like these", () => routes.go({ likes }), { class: "button small" }),
    ),
    ...(ids.length > among.MOST ? [make("p", { class: "fine" }, `A search goes among ${shoes(among.MOST)} at most.`)] : []),
    make("ul", { class: "thumbs" }, ...ids.slice(0, 60).map(entry)),
    ...(ids.length > 60 ? [make("p", { class: "fine" }, `and ${count(ids.length - 60)} more`)] : []),
  );
}
