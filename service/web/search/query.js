// The picture searched with, what the network makes of it, and the likes and dislikes that refine it.

import { ApiError, imageOf, reconstructionOf } from "../base/api.js";
import { byId, icon, make } from "../base/dom.js";
import { load } from "../base/pictures.js";
import { image } from "../base/shoes.js";
import { describe } from "../base/words.js";
import { find, reconstruct } from "../photo/photos.js";
import { isAuto } from "../photo/view.js";

/** Below this, a photo more likely shows no shoe that the catalogue could have. */
const DOUBTFUL = 0.5;

let addresses = [];
let dated = []; // those of the query before: a picture may still be loading from one

let framing = null; // framing.js, once there was a photo with a box
let draw = null; // draws what the network sees of the query; null once it is drawn

const drawing = byId("drawing");
const section = byId("query");

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
  const picture = make("img", { alt, width: 160, height: 160 });
  picture.addEventListener("error", () => showMissing(tile, otherwise));
  load(picture, src);
  tile.replaceChildren(picture);
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

function forget() {
  framing?.hide();
  forgetAddresses();
  byId("notes").replaceChildren();
  draw = null;
}

/** Draw what the network sees now if it is unfolded, and else when it is. */
function drawLater(render) {
  wait(byId("query-reconstruction"));
  drawing.hidden = false;
  draw = render;
  if (drawing.open) drawNow();
}

function drawNow() {
  const render = draw;
  draw = null;
  render?.();
}

drawing.addEventListener("toggle", () => {
  if (drawing.open) drawNow();
});

function begin(kind, caption, title) {
  forget();
  section.hidden = false;
  section.dataset.kind = kind;
  byId("query-caption").textContent = caption;
  byId("query-title").textContent = title;
}

/** Show nothing as the query: the catalogue is being browsed. */
export function clear() {
  forget();
  section.hidden = true;
}

/** Show a photo as the query: the small one that is sent, which is decoded and moved much sooner than one of 12 megapixels. */
export async function showPhoto(photo, { signal }) {
  begin("photo", "Your photo", photo.name.replace(/\.\w+$/, "") || "Shoes like yours");
  wait(byId("query-picture"));
  drawing.hidden = true;
  const small = await photo.small;
  signal.throwIfAborted();
  fill(byId("query-picture"), addressOf(small), "The photo you chose", "No preview of this file type");
}

/**
 * Show what of the photo on the screen was taken for the shoe, and its reconstruction, when they come.
 *
 * `finds` tells whether the network looks for the shoe in a photo at all; `onView(view)` is called when somebody says
 * that it is elsewhere in it.
 */
export async function showView(photo, view, options) {
  drawLater(() => showReconstruction(photo, view, options.signal));
  await showSubject(photo, view, options);
}

async function showSubject(photo, view, { signal, finds, onView }) {
  const picture = byId("query-picture").querySelector("img");
  try {
    const { subject, confidence } = await find(photo, view);
    signal.throwIfAborted();
    showNotes(subject, confidence, view);
    if (!picture || (!subject && !finds && isAuto(view))) return;
    await picture.decode();
    framing ??= await import("../photo/framing.js");
    signal.throwIfAborted();
    framing.show(picture, view, subject, onView);
  } catch (error) {
    // The search fails of the same and says so; a photo that the browser can't show has no box.
    const known = error instanceof ApiError || ["AbortError", "EncodingError"].includes(error.name);
    if (!known) console.error(error);
  }
}

function showNotes(subject, confidence, view) {
  const notes = [];
  if (confidence !== null && confidence < DOUBTFUL) {
    notes.push(["Nothing here is close.", "This does not look like a shoe from this catalogue. These are the nearest all the same."]);
  }
  if (subject?.others && !view.box) {
    notes.push(["There is more than one shoe in the photo.", "Drag the box to the one you mean."]);
  }
  byId("notes").replaceChildren(
    ...notes.map(([title, text]) => make("p", { class: "notice" }, make("strong", {}, title), ` ${text}`)),
  );
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
  begin("item", "From the catalogue", "Shoes like this one");
  wait(byId("query-picture"));
  drawing.hidden = true;
}

/** Show a shoe of the catalogue as the query. */
export function showItem(shoe, keys) {
  const words = describe(shoe, keys);
  byId("query-title").textContent = words.name;
  fill(byId("query-picture"), imageOf(shoe), words.all, "No picture");
  drawLater(() => {
    const alt = `${words.name}, as the network redraws it`;
    fill(byId("query-reconstruction"), reconstructionOf(shoe), alt, "Not available");
  });
}

/** Show that there is no picture, only what was liked. */
export function showLikes([first]) {
  begin("likes", "From your likes", "Shoes like these");
  fill(byId("query-picture"), imageOf({ id: first }), "The first shoe you liked", "No picture");
  drawing.hidden = true;
}

/** Show likes and dislikes; `onDrop(kind, id)` is called for one that is taken back. */
export function showExamples({ likes, dislikes }, onDrop) {
  const list = byId("examples");
  const one = (kind, id) =>
    make(
      "li",
      {},
      make(
        "button",
        {
          type: "button",
          class: `example ${kind}`,
          title: "Take it back",
          "aria-label": `${kind === "like" ? "Liked" : "Disliked"} shoe ${id}: take it back`,
          click: () => onDrop(kind, id),
        },
        image({ id }, { side: 44, otherwise: id }),
        icon(kind),
      ),
    );
  list.replaceChildren(...likes.map((id) => one("like", id)), ...dislikes.map((id) => one("dislike", id)));
  list.hidden = list.children.length === 0;
}
