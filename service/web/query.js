// The picture searched with, what the network makes of it, and the switch between conditions.

import { ApiError, imageOf, reconstructionOf } from "./api.js";
import { byId, make } from "./dom.js";
import { find, reconstruct } from "./photos.js";
import { load } from "./pictures.js";
import { isAuto } from "./view.js";
import { attributesOf, describe, label } from "./words.js";

/** Below this, a photo more likely shows no shoe that the catalogue could have. */
const DOUBTFUL = 0.5;

let addresses = [];
let dated = []; // those of the query before: a picture may still be loading from one

let framing = null; // framing.js, once there was a photo with a box
let preview = null; // the blob that is on the screen as the photo

function addressOf(blob) {
  const address = URL.createObjectURL(blob);
  addresses.push(address);
  return address;
}

function forgetAddresses() {
  for (const address of dated) URL.revokeObjectURL(address);
  dated = addresses;
  addresses = [];
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

function forget() {
  framing?.hide();
  forgetAddresses();
  byId("notes").replaceChildren();
}

/** Show nothing as the query: the catalogue is being browsed. */
export function clear() {
  forget();
  byId("query").hidden = true;
}

/** Show a photo as the query, and what `showView` shows. */
export async function showPhoto(photo, view, options) {
  forget();
  byId("query").hidden = false;
  byId("query").dataset.kind = "photo";
  byId("query-caption").textContent = "Your photo";
  byId("query-title").textContent = "Shoes like yours";
  list(photo.name ? [["File", photo.name]] : []);
  preview = photo.preview;
  fill(byId("query-picture"), addressOf(preview), "The photo you chose", "No preview of this file type");
  wait(byId("query-reconstruction"));
  await showView(photo, view, options);
}

/**
 * Show what of the photo on the screen was taken for the shoe, and its reconstruction, when they come.
 *
 * `finds` tells whether the network looks for the shoe in a photo at all; `onView(view)` is called when somebody says
 * that it is elsewhere in it.
 */
export async function showView(photo, view, options) {
  await Promise.all([showSubject(photo, view, options), showReconstruction(photo, view, options.signal)]);
}

async function showSubject(photo, view, { signal, finds, onView }) {
  const image = byId("query-picture").querySelector("img");
  try {
    const { subject, confidence } = await find(photo, view);
    signal.throwIfAborted();
    showNotes(subject, confidence, view);
    if (!image || (!subject && !finds && isAuto(view))) return;
    if (preview !== photo.preview) {
      // Moving a box over the small photo that was sent is smoother than over one of 12 megapixels.
      preview = photo.preview;
      image.src = addressOf(preview);
    }
    await image.decode();
    framing ??= await import("./framing.js");
    signal.throwIfAborted();
    framing.show(image, view, subject, onView);
  } catch (error) {
    // The search fails of the same and says so; a photo that the browser can't show has no box.
    const known = error instanceof ApiError || ["AbortError", "EncodingError"].includes(error.name);
    if (!known) console.error(error);
  }
}

function showNotes(subject, confidence, view) {
  const texts = [];
  if (confidence !== null && confidence < DOUBTFUL) {
    texts.push("This does not look like a shoe from this catalogue. The shoes below are the nearest all the same.");
  }
  if (subject?.others && !view.box) texts.push("There is more than one shoe in the photo; drag the box to the one you mean.");
  byId("notes").replaceChildren(...texts.map((text) => make("p", { class: "notice" }, text)));
}

async function showReconstruction(photo, view, signal) {
  const tile = byId("query-reconstruction");
  try {
    const blob = await reconstruct(photo, view, { signal });
    fill(tile, addressOf(blob), "Your photo, as the network redraws it", "Not available");
  } catch (error) {
    if (error.name !== "AbortError") showMissing(tile, "Not available");
  }
}

/** Make room for a shoe of the catalogue that is still being fetched. */
export function awaitItem() {
  forget();
  byId("query").hidden = false;
  byId("query").dataset.kind = "item";
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
