// What shoes are compared by: all that the network knows, one condition, or several with a weight each.

import { byId, make } from "../base/dom.js";
import { label } from "../base/words.js";

/** Least milliseconds between two searches while a slider moves. */
const PAUSE = 80;

let overall = null; // the condition that stands for all of them
let onChange = () => {};
let weights = new Map(); // condition -> weight in (0, 1]
let timer = null;
let searched = 0; // when a slider last brought a search

/** "heel:0.7,category:0.3" -> Map {heel: 0.7, category: 0.3}; one condition alone has the weight 1. */
export function parse(text) {
  const parts = (text ?? "").split(",").filter(Boolean);
  return new Map(
    parts.map((part) => {
      const [, name, weight] = /^(.*?)(?::([\d.]+))?$/.exec(part);
      return [name, Number(weight ?? 1) || 1];
    }),
  );
}

function format() {
  const given = [...weights];
  if (!given.length) return null;
  if (given.length === 1) return given[0][0];
  return given.map(([name, weight]) => `${name}:${weight}`).join(",");
}

function toggle(name) {
  if (name === overall) weights.clear();
  else if (weights.has(name)) weights.delete(name);
  else weights.set(name, 1);
  onChange(format(), { replace: false });
}

function slide(name, value) {
  weights.set(name, value);
  clearTimeout(timer);
  const search = () => {
    searched = performance.now();
    onChange(format(), { replace: true });
  };
  timer = setTimeout(search, searched + PAUSE - performance.now());
}

function slider([name, weight]) {
  const output = make("output", {}, weight.toFixed(1));
  const input = make("input", {
    type: "range",
    min: 0.1,
    max: 1,
    step: 0.1,
    value: weight,
    "data-weight": name,
    "aria-label": `Weight of ${label(name)}`,
    input: () => {
      output.textContent = input.valueAsNumber.toFixed(1);
      slide(name, input.valueAsNumber);
    },
  });
  return make("label", { class: "weight" }, make("span", {}, label(name)), input, output);
}

function mark() {
  for (const button of byId("condition-choices").children) {
    const { condition } = button.dataset;
    const pressed = condition === overall ? weights.size === 0 : weights.has(condition);
    button.setAttribute("aria-pressed", String(pressed));
  }
  const row = byId("weights");
  const names = [...weights.keys()].join("\n");
  row.hidden = weights.size < 2;
  if (row.dataset.names === names && [...row.querySelectorAll("input")].every(isShown)) return;
  row.dataset.names = names;
  row.replaceChildren(...[...weights].map(slider));
}

function isShown(input) {
  return input.valueAsNumber === weights.get(input.dataset.weight);
}

/** Offer the conditions, if there is more than one; `change(condition, {replace})` is called with what is chosen. */
export function offer(conditions, change) {
  [overall] = conditions;
  onChange = change;
  byId("condition-choices").replaceChildren(
    ...conditions.map((condition) =>
      make(
        "button",
        { type: "button", class: "segment", "data-condition": condition, click: () => toggle(condition) },
        label(condition),
      ),
    ),
  );
}

/** Show what is in use, and nothing where there is no choice. */
export function show(condition, visible) {
  weights = parse(condition === overall ? null : condition);
  byId("conditions").hidden = !visible || byId("condition-choices").children.length < 2;
  mark();
}
