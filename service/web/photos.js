// The photos searched with: each is made small and embedded once; what is asked of it afterwards goes by its vector.
//
// They stay in this tab. sessionStorage keeps them over a reload, the newest ones where not all have room.

import { ApiError, embedPhoto, reconstructVector, searchVector } from "./api.js";
import * as dataUrl from "./dataurl.js";
import { shrink } from "./shrink.js";
import { megabytes } from "./words.js";

const PREFIX = "solemate.photo.";

/** Characters of a photo that is worth keeping: browsers keep some 5 million for a page. */
const MOST_CHARACTERS = 2_000_000;

const photos = new Map();
let counter = 0;

function keysKept() {
  // The oldest first: names begin with the time, in digits of equal number.
  return Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX)).sort();
}

function store(name, text) {
  if (text.length > MOST_CHARACTERS) return;
  for (;;) {
    try {
      sessionStorage.setItem(PREFIX + name, text);
      return;
    } catch {
      const oldest = keysKept().find((key) => key !== PREFIX + name);
      if (!oldest) return;
      sessionStorage.removeItem(oldest);
    }
  }
}

async function save(photo, embedding = null) {
  const data = await dataUrl.fromBlob(await photo.small);
  store(photo.route, JSON.stringify({ name: photo.name, data, embedding }));
}

function restore(route) {
  const text = sessionStorage.getItem(PREFIX + route);
  if (text === null) return undefined;
  const { name, data, embedding } = JSON.parse(text);
  const blob = dataUrl.toBlob(data);
  if (!blob) return undefined;
  const photo = { route, name, preview: blob, small: Promise.resolve(blob), embedding: null, drawn: null };
  if (embedding) photo.embedding = Promise.resolve(embedding);
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
  counter += 1;
  // The time keeps names apart across reloads, where the history outlives the page.
  const route = `${Date.now().toString(36)}-${counter}`;
  const small = prepare(file, limits);
  const photo = { route, name: file.name ?? "", preview: file, small, embedding: null, drawn: null };
  photos.set(route, photo);
  small
    .then((blob) => {
      photo.preview = blob;
      return save(photo);
    })
    .catch(() => {}); // whoever searches with it is told what is wrong with it
  return route;
}

/** The photo that a route names, as {name, preview}; undefined if it is not kept any more. */
export function get(route) {
  return photos.get(route) ?? restore(route);
}

function embed(photo) {
  if (!photo.embedding) {
    // Not aborted with the route that asks first: the next one needs it just as well.
    photo.embedding = photo.small.then(embedPhoto);
    photo.embedding.then(
      (embedding) => save(photo, embedding),
      () => {
        photo.embedding = null;
      },
    );
  }
  return photo.embedding;
}

/** A page of the shoes nearest to a photo: {hits, next}. */
export async function search(photo, { signal, ...options }) {
  const { vector, checkpoint } = await embed(photo);
  signal.throwIfAborted();
  try {
    const found = await searchVector(vector, { ...options, signal });
    if (found.checkpoint === checkpoint) return found;
  } catch (error) {
    if (error.field !== "vector") throw error;
  }
  // Another network is served by now, whose vectors are others.
  photo.embedding = null;
  photo.drawn = null;
  const renewed = await embed(photo);
  signal.throwIfAborted();
  return searchVector(renewed.vector, { ...options, signal, cursor: null });
}

/** A photo as the network redraws it, as a blob. */
export async function reconstruct(photo, { signal }) {
  const { vector } = await embed(photo);
  signal.throwIfAborted();
  photo.drawn ??= await reconstructVector(vector, { signal });
  return photo.drawn;
}
