// Parts that show a shoe wherever there is one: its picture, its price, how near it is.

import { imageOf } from "./api.js";
import { make, vary } from "./dom.js";
import { load } from "./pictures.js";
import { distance, nearness as nearnessOf, offerOf } from "./words.js";

let shape = null;

/** Frames get the shape of the catalogue's pictures, as the first of them tells: between a square and 4 by 3. */
function learnShape({ naturalWidth, naturalHeight }) {
  if (shape !== null || !naturalHeight) return;
  shape = Math.min(4 / 3, Math.max(1, naturalWidth / naturalHeight));
  vary(document.documentElement, "frame", shape);
}

/** A picture at an address in a frame; words where it can't be shown. */
export function framed(src, { alt = "", loading = "lazy", side = 160, otherwise = "No picture" } = {}) {
  const frame = make("span", { class: "frame" });
  const picture = make("img", { alt, loading, decoding: "async", width: side, height: side });
  picture.addEventListener("error", () => frame.replaceChildren(make("span", { class: "no-picture" }, otherwise)));
  load(picture, src);
  frame.append(picture);
  return frame;
}

/** A shoe's own picture in a frame. */
export function image(shoe, options) {
  const frame = framed(imageOf(shoe), options);
  frame.firstChild.addEventListener("load", (event) => learnShape(event.target), { once: true });
  return frame;
}

/** How near a shoe is: in words with a bar, the numbers on hover; the distance where the service gives no score. */
export function nearness({ distance: far, score }) {
  if (score === undefined || score === null) {
    return make("span", { class: "nearness" }, make("span", { class: "distance" }, `distance ${distance(far)}`));
  }
  const bar = vary(make("span", { class: "meter", "aria-hidden": "true" }), "share", score);
  const title = `Score ${score.toFixed(2)} of 1, distance ${distance(far)}`;
  return make("span", { class: "nearness", title, "data-score": score }, make("span", {}, nearnessOf(score)), bar);
}

/** A shoe's price, where the catalogue has one; else null. */
export function offer(shoe) {
  const { price } = offerOf(shoe);
  return price === null ? null : make("span", { class: "price" }, price);
}
