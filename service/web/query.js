// The picture searched with, what the network makes of it, and the switch between conditions.

import { imageOf, reconstructionOf } from "./api.js";
import { byId, make } from "./dom.js";
import { reconstruct } from "./photos.js";
import { load } from "./pictures.js";
import { attributesOf, describe, label } from "./words.js";

const addresses = [];

function addressOf(blob) {
  const address = URL.createObjectURL(blob);
  addresses.push(address);
  return address;
}

function forgetAddresses() {
  while (addresses.length) URL.revokeObjectURL(addresses.pop());
}

function showMissing(tile, text) {
  tile.classList.remove("loading");
  tile.replaceChildren(make("span", { class: "no-picture" }, text));
}

function fill(tile, src, alt, otherwise) {
  tile.classList.remove("loading");
  const image = make("img", { alt, width: 160, height: 160 });
  image.addEventListener("error", () => showMissing(tile, otherwise));
  load(image, src);
  tile.replaceChildren(image);
}

function wait(tile) {
  tile.classList.add("loading");
  tile.replaceChildren();
}

/** Show that the pictures still waited for will not come. */
export function giveUp() {
  for (const tile of [byId("query-picture"), byId("query-reconstruction")]) {
    if (tile.classList.contains("loading")) showMissing(tile, "Not available");
  }
}

function list(pairs) {
  byId("query-attributes").replaceChildren(
    ...pairs.map(([term, text]) => make("div", {}, make("dt", {}, term), make("dd", {}, text))),
  );
}

/** Show nothing as the query: the catalogue is being browsed. */
export function clear() {
  forgetAddresses();
  byId("query").hidden = true;
}

/** Show a photo as the query, and its reconstruction when it comes. */
export async function showPhoto(photo, signal) {
  forgetAddresses();
  byId("query").hidden = false;
  byId("query-caption").textContent = "Your photo";
  byId("query-title").textContent = "Shoes like yours";
  list(photo.name ? [["File", photo.name]] : []);
  fill(byId("query-picture"), addressOf(photo.preview), "The photo you chose", "No preview of this file type");
  const tile = byId("query-reconstruction");
  wait(tile);
  try {
    const blob = await reconstruct(photo, { signal });
    fill(tile, addressOf(blob), "Your photo, as the network redraws it", "Not available");
  } catch (error) {
    if (error.name !== "AbortError") showMissing(tile, "Not available");
  }
}

/** Make room for a shoe of the catalogue that is still being fetched. */
export function awaitItem() {
  forgetAddresses();
  byId("query").hidden = false;
  byId("query-caption").textContent = "From the catalogue";
  byId("query-title").textContent = "Shoes like this one";
  list([]);
  wait(byId("query-picture"));
  wait(byId("query-reconstruction"));
}

/** Show a shoe of the catalogue as the query. */
export function showItem(shoe, keys) {
  const words = describe(shoe, keys);
  byId("query-title").textContent = words.name;
  list([
    ...attributesOf(shoe, keys).map(([key, values]) => [label(key), values.join(", ")]),
    ...(words.name === shoe.id ? [] : [["Id", shoe.id]]),
  ]);
  fill(byId("query-picture"), imageOf(shoe), words.all, "No picture");
  fill(byId("query-reconstruction"), reconstructionOf(shoe), `${words.name}, as the network redraws it`, "Not available");
}

/** Offer the conditions, if there is more than one; `onChoose(condition)` is called with the one chosen. */
export function offerConditions(conditions, onChoose) {
  byId("conditions").hidden = conditions.length < 2;
  byId("condition-choices").replaceChildren(
    ...conditions.map((condition) =>
      make(
        "label",
        { class: "segment" },
        make("input", { type: "radio", name: "condition", value: condition, change: () => onChoose(condition) }),
        make("span", {}, label(condition)),
      ),
    ),
  );
}

/** Mark the condition in use. */
export function markCondition(condition) {
  for (const input of byId("condition-choices").querySelectorAll("input")) input.checked = input.value === condition;
}
