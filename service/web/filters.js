// Filters: groups of checkboxes beside the grid, and chips above it for those in use.

import { byId, make } from "./dom.js";
import { count, label, shoes } from "./words.js";

const FEW = 6;
const OPEN_AT_FIRST = 4;

const groups = byId("filter-groups");
const toggle = byId("filter-toggle");
const panel = byId("filter-panel");
const wide = window.matchMedia("(min-width: 60rem)");

/** Which groups are folded out, and which show all of their values: the person's choice outlives each redraw. */
const opened = new Map();
const expanded = new Set();

/** Attributes with one value in the whole catalogue: nothing to choose. Seen when no filter is in use. */
let single = new Set();

function same(one, other) {
  return one.key === other.key && one.value === other.value;
}

/** The filters with one more, or, if it was among them, without it. */
export function toggled(filters, filter) {
  const others = filters.filter((each) => !same(each, filter));
  return others.length < filters.length ? others : [...filters, filter];
}

function option(key, { value, count: number }, checked, onToggle) {
  const input = make("input", {
    type: "checkbox",
    "data-filter": `${key}:${value}`,
    checked,
    disabled: number === 0 && !checked,
    change: () => onToggle({ key, value }),
  });
  return make(
    "label",
    { class: "option" },
    input,
    make("span", { class: "value" }, value),
    make("span", { class: "count" }, count(number)),
  );
}

function valuesOf(key, values, filters) {
  const known = new Set(values.map(({ value }) => value));
  const chosen = filters.filter((each) => each.key === key && !known.has(each.value));
  return [...values, ...chosen.map(({ value }) => ({ value, count: 0 }))];
}

function group(key, values, { filters, first, onToggle }) {
  const isChosen = ({ value }) => filters.some((each) => same(each, { key, value }));
  const number = values.filter(isChosen).length;
  // Chosen values are always in sight, even where the rest is folded away.
  const shown = expanded.has(key) ? values : values.filter((each, index) => index < FEW || isChosen(each));
  const list = make("div", { class: "options", role: "group", "aria-label": label(key) });
  list.append(...shown.map((each) => option(key, each, isChosen(each), onToggle)));
  const summary = make("summary", {}, make("span", {}, label(key)));
  if (number) summary.append(make("span", { class: "chosen", "aria-label": `${number} chosen` }, String(number)));
  const open = opened.get(key) ?? (number > 0 || (wide.matches && first));
  const details = make("details", { class: "group", open }, summary, list);
  // A click, not the toggle event: that one also fires when the group is drawn open.
  summary.addEventListener("click", () => opened.set(key, !details.open));
  if (values.length > shown.length || expanded.has(key)) {
    details.append(foldButton(key, values, shown, details, onToggle));
  }
  return details;
}

function foldButton(key, values, shown, details, onToggle) {
  const open = expanded.has(key);
  const text = open ? "Show fewer" : `Show ${count(values.length - shown.length)} more`;
  const onClick = () => {
    if (open) expanded.delete(key);
    else expanded.add(key);
    const filters = details.filters;
    const redrawn = group(key, values, { filters, first: true, onToggle });
    redrawn.filters = filters;
    details.replaceWith(redrawn);
    redrawn.querySelector(".fold")?.focus();
  };
  return make("button", { type: "button", class: "fold", "aria-expanded": open, click: onClick }, text);
}

/** Show the groups for these counts; `onToggle({key, value})` is called for a box ticked or cleared. */
export function show({ facets, total }, { keys, filters, onToggle }) {
  const focused = document.activeElement?.dataset?.filter;
  const order = [...keys.filter((key) => key in facets), ...Object.keys(facets).filter((key) => !keys.includes(key))];
  if (!filters.length) single = new Set(order.filter((key) => facets[key].length < 2));
  const useful = order
    .map((key) => [key, valuesOf(key, facets[key], filters)])
    .filter(([key, values]) => values.length && (!single.has(key) || filters.some((each) => each.key === key)));
  groups.replaceChildren(
    ...useful.map(([key, values], index) => {
      const details = group(key, values, { filters, first: index < OPEN_AT_FIRST, onToggle });
      details.filters = filters;
      return details;
    }),
  );
  byId("filters").hidden = useful.length === 0;
  byId("filter-done").textContent = total ? `Show ${shoes(total)}` : "No shoe matches";
  // Redrawing must not take the keyboard's place away.
  if (focused) groups.querySelector(`[data-filter="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

/** Show no filters: their counts could not be had. */
export function hide() {
  byId("filters").hidden = true;
}

function hiddenChip(number, onRestore) {
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: "chip", "aria-label": `${shoes(number)} hidden: show again`, click: onRestore },
      `${shoes(number)} hidden`,
      make("span", { class: "cross", "aria-hidden": "true" }, "×"),
    ),
  );
}

/**
 * Show the filters in use as chips; `onToggle` takes one off, `onClear` all of them. `hidden` shoes have one, too,
 * which `onRestore` takes off.
 */
export function showChips(filters, { onToggle, onClear, hidden, onRestore }) {
  const chips = filters.map((filter) =>
    make(
      "li",
      {},
      make(
        "button",
        {
          type: "button",
          class: "chip",
          title: "Remove this filter",
          click: () => onToggle(filter),
        },
        make("span", { class: "unseen" }, "Remove filter "),
        make("span", { class: "chip-key" }, `${label(filter.key)}: `),
        filter.value,
        make("span", { class: "cross", "aria-hidden": "true" }, "×"),
      ),
    ),
  );
  if (hidden) chips.push(hiddenChip(hidden, onRestore));
  if (filters.length > 1) {
    chips.push(make("li", {}, make("button", { type: "button", class: "link", click: onClear }, "Clear all")));
  }
  byId("chips").replaceChildren(...chips);
  byId("chips").hidden = chips.length === 0;
  toggle.textContent = filters.length ? `Filters (${filters.length})` : "Filters";
}

function unfold(open) {
  toggle.setAttribute("aria-expanded", String(open));
  panel.classList.toggle("open", open);
}

/** Let the panel fold out and in on narrow screens, where it lies above the grid. */
export function listen() {
  toggle.addEventListener("click", () => unfold(toggle.getAttribute("aria-expanded") !== "true"));
  byId("filter-done").addEventListener("click", () => {
    unfold(false);
    toggle.focus();
    byId("results-heading").scrollIntoView();
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || wide.matches) return;
    unfold(false);
    toggle.focus();
  });
}
