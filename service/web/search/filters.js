// Filters: groups of values with counts beside the grid, ranges of numbers, and chips above it for those in use.
//
// A filter is {key, value}: "Gender" and "Women"; "-Brand" and what the brand is not; "price" and "20..80".

import { byId, icon, make } from "../base/dom.js";
import { count, isAddress, label, shoes } from "../base/words.js";

const FEW = 6;
const OPEN_AT_FIRST = 4;

/** Values of an attribute from which on numbers are chosen by a range. */
const MANY_NUMBERS = 6;

const groups = byId("filter-groups");
const panel = byId("filter-panel");
const sheet = byId("filter-sheet");
const wide = window.matchMedia("(min-width: 60rem)");

/** Which groups are folded out, and which show all of their values: the person's choice outlives each redraw. */
const opened = new Map();
const expanded = new Set();

/** Attributes with one value in the whole catalogue: nothing to choose. Seen when nothing narrows it. */
let single = new Set();

function same(one, other) {
  return one.key === other.key && one.value === other.value;
}

/** The filters with one more, or, if it was among them, without it. A range takes the place of another. */
export function toggled(filters, filter) {
  const others = filters.filter((each) => !same(each, filter));
  if (others.length < filters.length) return others;
  const rivals = isRange(filter.value) ? (each) => each.key === filter.key : (each) => bare(each.key) === bare(filter.key) && each.value === filter.value;
  return [...others.filter((each) => !rivals(each)), filter];
}

function bare(key) {
  return key.replace(/^-/, "");
}

function isRange(value) {
  return /^(-?\d+(\.\d+)?|\d{4}-\d\d-\d\d)\.\.(-?\d+(\.\d+)?|\d{4}-\d\d-\d\d)$/.test(value);
}

function option(key, { value, count: number }, { checked, excluded, onToggle }) {
  const input = make("input", {
    type: "checkbox",
    "data-filter": `${key}:${value}`,
    checked,
    disabled: number === 0 && !checked,
    change: () => onToggle({ key, value }),
  });
  const without = make(
    "button",
    {
      type: "button",
      class: "without",
      "data-filter": `-${key}:${value}`,
      "aria-pressed": excluded,
      "aria-label": `Without ${value}`,
      title: `Without ${value}`,
      click: () => onToggle({ key: `-${key}`, value }),
    },
    icon("minus"),
  );
  const text = make("span", { class: "value" }, value);
  const counted = make("span", { class: "count" }, count(number));
  return make("div", { class: "option-row" }, make("label", { class: "option" }, input, text, counted), without);
}

function valuesOf(key, values, filters) {
  const known = new Set(values.map(({ value }) => value));
  const chosen = filters.filter((each) => bare(each.key) === key && !isRange(each.value) && !known.has(each.value));
  return [...values, ...chosen.map(({ value }) => ({ value, count: 0 }))];
}

/** {min, max, dates} of an attribute that is chosen by a range; null for one that is chosen by its values. */
function extentOf(ranges, key, values) {
  const { min, max } = ranges[key] ?? {};
  if (min === undefined || min === max || (values.length > 0 && values.length < MANY_NUMBERS)) return null;
  if (/^\d{4}-\d\d-\d\d$/.test(min)) return { min, max, dates: true };
  const [least, most] = [Number(min), Number(max)];
  return Number.isFinite(least) && Number.isFinite(most) ? { min: least, max: most, dates: false } : null;
}

function range(key, { min, max, dates }, filters, onToggle) {
  const given = filters.find((each) => each.key === key && isRange(each.value));
  const [low, high] = given ? given.value.split("..") : [min, max];
  const whole = Number.isInteger(min) && Number.isInteger(max);
  const field = (type, name, value, others) =>
    make("input", {
      type,
      min,
      max,
      step: dates || whole ? 1 : type === "range" ? (max - min) / 100 : "any",
      value,
      "aria-label": `${label(key)}, ${name}${type === "range" ? ", slider" : ""}`,
      "data-filter": `${key}:${name} ${type}`,
      change: apply,
      ...others,
    });
  const end = (name, value) => field(dates ? "date" : "number", name, value, { class: "field" });
  const [from, to] = [end("from", low), end("to", high)];
  const slide = (target, name, value) =>
    field("range", name, value, {
      input: (event) => {
        target.value = event.target.value;
      },
    });
  function apply() {
    const ends = [from.value || String(min), to.value || String(max)];
    ends.sort((one, other) => (dates ? one.localeCompare(other) : Number(one) - Number(other)));
    const value = ends.join("..");
    if (value === `${min}..${max}`) {
      if (given) onToggle(given);
    } else if (value !== given?.value) {
      onToggle({ key, value });
    }
  }
  const slides = dates ? [] : [make("div", { class: "range-slides" }, slide(from, "from", low), slide(to, "to", high))];
  return make(
    "div",
    { class: "range" },
    ...slides,
    make("div", { class: "range-ends" }, from, make("span", { "aria-hidden": "true" }, "to"), to),
  );
}

function group(key, values, { ranges, filters, first, onToggle }) {
  const isChosen = ({ value }) => filters.some((each) => same(each, { key, value }));
  const isExcluded = ({ value }) => filters.some((each) => same(each, { key: `-${key}`, value }));
  const extent = extentOf(ranges, key, values);
  const number = filters.filter((each) => bare(each.key) === key).length;
  // Chosen values are always in sight, even where the rest is folded away.
  const shown = expanded.has(key)
    ? values
    : values.filter((each, index) => index < FEW || isChosen(each) || isExcluded(each));
  const list = make("div", { class: "options", role: "group", "aria-label": label(key) });
  if (extent) {
    list.append(range(key, extent, filters, onToggle));
  } else {
    const stateOf = (each) => ({ checked: isChosen(each), excluded: isExcluded(each), onToggle });
    list.append(...shown.map((each) => option(key, each, stateOf(each))));
  }
  const summary = make("summary", {}, make("span", {}, label(key)));
  if (number) summary.append(make("span", { class: "chosen" }, String(number), make("span", { class: "unseen" }, " chosen")));
  const open = opened.get(key) ?? (number > 0 || (wide.matches && first));
  const details = make("details", { class: "group", open }, summary, list);
  // A click, not the toggle event: that one also fires when the group is drawn open.
  summary.addEventListener("click", () => opened.set(key, !details.open));
  if (!extent && (values.length > shown.length || expanded.has(key))) {
    details.append(foldButton(key, values, shown, { details, ranges, filters, onToggle }));
  }
  return details;
}

function foldButton(key, values, shown, { details, ...options }) {
  const open = expanded.has(key);
  const text = open ? "Show fewer" : `Show ${count(values.length - shown.length)} more`;
  const onClick = () => {
    if (open) expanded.delete(key);
    else expanded.add(key);
    const redrawn = group(key, values, { ...options, first: true });
    details.replaceWith(redrawn);
    redrawn.querySelector(".fold")?.focus();
  };
  return make("button", { type: "button", class: "fold", "aria-expanded": open, click: onClick }, text);
}

/**
 * Show the groups for these counts; `onToggle({key, value})` is called for a box ticked or cleared, or a range. `among`
 * tells whether the counts are of a choice from the map.
 */
export function show({ facets, ranges, total }, { keys, filters, among, onToggle }) {
  const focused = document.activeElement?.dataset?.filter;
  const counted = new Set([...Object.keys(facets), ...Object.keys(ranges)]);
  const all = [...keys.filter((key) => counted.has(key)), ...[...counted].filter((key) => !keys.includes(key))];
  const valuesIn = (key) => facets[key] ?? [];
  const order = all.filter((key) => !isAddress(valuesIn(key).slice(0, 3).map(({ value }) => value)));
  if (!filters.length && !among) single = new Set(order.filter((key) => valuesIn(key).length === 1));
  const useful = order
    .map((key) => [key, valuesOf(key, valuesIn(key), filters)])
    .filter(([key, values]) => (values.length || key in ranges) && (!single.has(key) || filters.some((each) => bare(each.key) === key)));
  groups.replaceChildren(
    ...useful.map(([key, values], index) => group(key, values, { ranges, filters, first: index < OPEN_AT_FIRST, onToggle })),
  );
  available(useful.length > 0);
  byId("filter-done").textContent = total ? `Show ${shoes(total)}` : "No shoe matches";
  // Redrawing must not take the keyboard's place away.
  if (focused) groups.querySelector(`[data-filter="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

function available(any) {
  byId("filters").hidden = !any;
  byId("filter-toggle").hidden = !any;
}

/** Show no filters: their counts could not be had. */
export function hide() {
  available(false);
}

function chip(text, prefix, onClick) {
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: "chip", title: "Take it off", click: onClick },
      make("span", { class: "unseen" }, prefix),
      text,
      icon("close"),
    ),
  );
}

function wordsOf({ key, value }) {
  const name = label(bare(key));
  if (key.startsWith("-")) return `${name}: not ${value}`;
  return `${name}: ${isRange(value) ? value.replace("..", " to ") : value}`;
}

/**
 * Show the filters in use as chips; `onToggle` takes one off, `onClear` all of them. A choice from the map, `among` so
 * many shoes, has one, which `onWhole` takes off, and so have `hidden` shoes, with `onRestore`.
 */
export function showChips(filters, { onToggle, onClear, among, onWhole, hidden, onRestore }) {
  const chips = filters.map((filter) => chip(wordsOf(filter), "Remove filter ", () => onToggle(filter)));
  if (among) chips.unshift(chip(`among ${shoes(among)} from the map`, "Remove filter ", onWhole));
  if (hidden) chips.push(chip(`${shoes(hidden)} hidden`, "Show again: ", onRestore));
  if (filters.length + (among ? 1 : 0) > 1) {
    chips.push(make("li", {}, make("button", { type: "button", class: "link", click: onClear }, "Clear all")));
  }
  byId("chips").replaceChildren(...chips);
  byId("chips").hidden = chips.length === 0;
  byId("filter-label").textContent = filters.length ? `Filters (${filters.length})` : "Filters";
}

/** The panel is beside the grid where there is room, and else a sheet that is opened over it. */
function arrange() {
  if (sheet.open) sheet.close();
  (wide.matches ? byId("filters") : sheet).append(panel);
  (wide.matches ? byId("filter-toggle") : byId("filter-done")).before(byId("fold-choice"));
}

/** Let the sheet open and close. */
export function listen() {
  arrange();
  wide.addEventListener("change", arrange);
  byId("filter-toggle").addEventListener("click", () => sheet.showModal());
  byId("filter-done").addEventListener("click", () => sheet.close());
  sheet.addEventListener("click", (event) => {
    if (event.target === sheet) sheet.close();
  });
}
