// The photos searched with: each is made small, and embedded once for each way of looking at it (view.js); what is asked
// of it afterwards goes by its vector.
//
// They stay in this tab, which keeps them over a reload.

import { ApiError, embedPhoto, recommend, reconstructVector, searchVector } from "../base/api.js";
import * as dataUrl from "./dataurl.js";
import { shrink } from "./shrink.js";
import { AUTO, keyOf, optionsOf } from "./view.js";
import * as tab from "../base/tab.js";
import { megabytes } from "../base/words.js";

/** Characters of a photo that is worth keeping: browsers keep some 5 million for a page. */
const MOST_CHARACTERS = 2_000_000;

const photos = new Map();

async function save(photo) {
  const data = await dataUrl.fromBlob(await photo.small);
  const text = JSON.stringify({ name: photo.name, data, embeddings: photo.embeddings });
  if (text.length <= MOST_CHARACTERS) tab.keep(photo.route, text);
}

function restore(route) {
  const text = tab.kept(route);
  if (text === null) return undefined;
  const { name, data, embeddings = {} } = JSON.parse(text);
  const blob = dataUrl.toBlob(data);
  if (!blob) return undefined;
  const photo = { route, name, small: Promise.resolve(blob), embeddings, looks: new Map(), asked: null };
  for (const [key, embedding] of Object.entries(embeddings)) {
    photo.looks.set(key, { embedding: Promise.resolve(embedding), drawn: null });
  }
  photos.set(route, photo);
  return photo;
}

async function prepare(file, { formats, side, limit }) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new ApiError({ status: 400, detail: "The file could not be read. Is it a folder, or was it moved?" });
  }
  const small = await shrink(file, { formats, side });
  if (small.size <= limit) return small;
  const sizes = `It has ${megabytes(small.size)}; the service takes up to ${megabytes(limit)}`;
  throw new ApiError({ status: 413, detail: `${sizes}, and this browser could not make it smaller.` });
}

/**
 * Take a photo in, and return the name that a route calls it by.
 *
 * `limits` are {formats, side, limit}: see `shrink`, and the bytes that the service takes.
 */
export function keep(file, limits) {
  const route = tab.newName();
  const small = prepare(file, limits);
  small.catch(() => {}); // whoever searches with it is told what is wrong with it
  photos.set(route, { route, name: file.name ?? "", small, embeddings: {}, looks: new Map(), asked: null });
  return route;
}

/** The photo that a route names, as {name, small}: `small` is the promise of a blob; undefined if it is not kept any more. */
export function get(route) {
  return photos.get(route) ?? restore(route);
}

async function optionsFor(view, blob) {
  if (!view.box) return optionsOf(view);
  const bitmap = await createImageBitmap(blob);
  const { width, height } = bitmap;
  bitmap.close();
  return optionsOf(view, { width, height });
}

/** A photo as looked at in one way: {embedding, drawn}, a promise and a blob. */
function look(photo, view) {
  const key = keyOf(view);
  if (photo.asked && photo.asked.key !== key) {
    // Of several boxes in a row only the last one is waited for.
    photo.asked.stop.abort();
    photo.looks.delete(photo.asked.key);
    photo.asked = null;
  }
  if (photo.looks.has(key)) return photo.looks.get(key);
  // Not aborted with the route that asks first: the next one needs it just as well.
  const stop = new AbortController();
  const asked = { key, stop };
  const embedding = photo.small.then(async (blob) => embedPhoto(blob, await optionsFor(view, blob), stop));
  const made = { embedding, drawn: null };
  photo.asked = asked;
  photo.looks.set(key, made);
  embedding
    .then((answer) => {
      const auto = keyOf(AUTO);
      const first = photo.embeddings[auto];
      photo.embeddings = { ...(first ? { [auto]: first } : {}), [key]: answer };
    })
    .catch(() => {
      if (photo.looks.get(key) === made) photo.looks.delete(key);
    })
    .finally(() => {
      if (photo.asked === asked) photo.asked = null;
      save(photo).catch(() => {}); // a photo that could not be read
    });
  return made;
}

/** What in a photo was taken for the shoe, and how sure that it is one: {subject, confidence}, each null if not known. */
export async function find(photo, view) {
  const { subject, confidence } = await look(photo, view).embedding;
  return { subject, confidence };
}

/** A page of the shoes nearest to a photo, or to it and `likes` but not `dislikes`, which are ids: {hits, next}. */
export async function search(photo, view, { signal, likes = [], dislikes = [], ...options }) {
  const ask = async ({ vector }, others) =>
    likes.length || dislikes.length
      ? recommend({ positive: [vector, ...likes], negative: dislikes }, { ...options, ...others, signal })
      : searchVector(vector, { ...options, ...others, signal });
  const embedding = await look(photo, view).embedding;
  signal.throwIfAborted();
  try {
    const found = await ask(embedding);
    if (found.checkpoint === embedding.checkpoint) return found;
  } catch (error) {
    if (!["vector", "positive"].includes(error.field)) throw error;
  }
  // Another network is served by now, whose vectors are others.
  photo.looks.clear();
  photo.embeddings = {};
  const renewed = await look(photo, view).embedding;
  signal.throwIfAborted();
  return ask(renewed, { cursor: null });
}

/** A photo as the network redraws it, as a blob. */
export async function reconstruct(photo, view, { signal }) {
  const looked = look(photo, view);
  const { vector } = await looked.embedding;
  signal.throwIfAborted();
  looked.drawn ??= await reconstructVector(vector, { signal });
  return looked.drawn;
}
