// How the network was trained: curves of its epochs, what the evaluation measured, and its model card.

import { draw, make } from "../base/dom.js";
import { count, label, shoes } from "../base/words.js";
import { percent } from "./parts.js";

const [WIDTH, HEIGHT] = [320, 120];

/** The charts: title, which of the validation's figures it shows, and whether these are shares. */
const CHARTS = [
  ["Held-out triplets in order", /^triplet_accuracy\/([^/]+).*$/, true],
  ["Photos that find their shoe", /^photo_recall@(\d+)$/, true],
  ["Reconstruction error", /^(mse)$/, false],
];

/** A line for each figure over the epochs; the numbers of the last epoch are its legend. */
function chart(history, [title, pattern, share]) {
  const names = Object.keys(history.at(-1).validation).filter((name) => pattern.test(name));
  const values = (name) => history.map(({ validation }) => validation[name] ?? null);
  const known = names.flatMap(values).filter((value) => value !== null);
  if (history.length < 2 || !known.length) return [];
  const [least, most] = [Math.min(...known), share ? 1 : Math.max(...known)];
  const x = (index) => (index / (history.length - 1)) * WIDTH;
  const y = (value) => HEIGHT - ((value - least) / (most - least || 1)) * (HEIGHT - 8) - 4;
  const form = (value) => (value == null ? "–" : share ? percent(value) : value.toPrecision(2));
  const words = (name) => (share ? label(name.replace(pattern, name.includes("@") ? "within $1" : "$1")) : "Squared error a number");
  const picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "curves", role: "img", "aria-label": `${title}, from ${form(least)} to ${form(Math.max(...known))} over ${history.length} epochs` });
  for (const [number, name] of names.entries()) {
    const points = values(name).flatMap((value, index) => (value === null ? [] : [`${x(index).toFixed(1)},${y(value).toFixed(1)}`]));
    picture.append(draw("polyline", { points: points.join(" "), class: `curve curve-${number % 4}` }));
  }
  const legend = names.map((name, number) =>
    make("li", {}, make("span", { class: `curve-mark curve-${number % 4}` }), `${words(name)} ${form(history.at(-1).validation[name])}`),
  );
  return [make("figure", { class: "chart" }, make("figcaption", {}, make("h3", {}, title)), picture, make("ul", { class: "chart-legend" }, ...legend))];
}

function evaluated({ shoes: number, rows }) {
  const row = ({ slice, attribute, triplet_accuracy: accuracy, recall }) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, slice === "overall" ? `${label(attribute)}, whole vector` : label(slice)),
      make("td", {}, accuracy == null ? "–" : percent(accuracy)),
      ...["1", "10"].map((k) => make("td", {}, recall[k] == null ? "–" : percent(recall[k]))),
    );
  const heads = ["Compared by", "Triplets in order", "Alike first", "Alike in ten"].map((text) => make("th", { scope: "col" }, text));
  return [
    make("h3", {}, `Measured on ${shoes(number)} that it has not seen`),
    make("div", { class: "table", tabindex: 0, role: "group", "aria-label": "Evaluation" }, make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows.map(row)))),
  ];
}

/** The section about the training; null where the service knows nothing of it. */
export function training({ card, history, evaluation }) {
  if (!card && !history.length) return null;
  const charts = history.length ? CHARTS.flatMap((each) => chart(history, each)) : [];
  return make(
    "section",
    { class: "panel whole" },
    make("h2", {}, history.length ? `Training: ${count(history.length)} ${history.length === 1 ? "epoch" : "epochs"}` : "Training"),
    make("div", { class: "columns" }, ...charts),
    ...(evaluation?.rows.length ? evaluated(evaluation) : []),
    ...(card ? [make("details", {}, make("summary", {}, "Model card"), make("pre", { class: "model-card" }, card))] : []),
  );
}
