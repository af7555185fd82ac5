// The operations of the service that only the views beside the search need.

import { ApiError, attempt, getJson, itemPath, request, withParameters } from "../base/api.js";

/** Whether the service can do something that this answer says is not there: an operation, or what it needs. */
export function isAbsent(error) {
  return error instanceof ApiError && [404, 405, 501].includes(error.status);
}

/** How the network was trained: {card, history, evaluation}. */
export function getCheckpoint({ signal }) {
  return getJson("v1/checkpoint", { signal });
}

/** Why two shoes are alike: {distance, score, conditions, attributes}. */
export function explain(id, other, { signal }) {
  return getJson(withParameters(`${itemPath(id)}/explain`, { with: other }), { signal });
}

const AS_JSON = { headers: { Accept: "application/json" } };

/** The way from one shoe to another: its steps, each {position, image, nearest}. */
export async function interpolate(from, to, steps, { signal }) {
  const answer = await getJson(withParameters("v1/interpolations", { from, to, steps }), { ...AS_JSON, signal });
  const ends = [answer.steps[0].nearest, answer.steps.at(-1).nearest];
  // In a catalogue of two shoes nothing lies between them.
  return answer.steps.map((step) => ({ ...step, nearest: step.nearest ?? ends[Math.round(step.position)] }));
}

/** A shoe before and after it takes a slice of another: {before, after}, each {image, nearest}. */
export async function swap(item, condition, of, { signal }) {
  const { before, after } = await getJson(withParameters("v1/swaps", { item, condition, of }), { ...AS_JSON, signal });
  // In a catalogue of two shoes there is no other.
  return { before, after: { ...after, nearest: after.nearest ?? before.nearest } };
}

/** The catalogue in two dimensions: {method, items, tiles, attributes, thumbnail}. */
export function getMap({ signal }) {
  return getJson("v1/map", { signal });
}

/** A tile of the map: {ids, x, y, values, legend}. */
export function getTile(number, { signal }) {
  return getJson(`v1/map/tiles/${number}`, { signal });
}

/** The thumbnails of a tile, as a bitmap. */
export async function getAtlas(number, { signal }) {
  return createImageBitmap(await (await request(`v1/map/atlas/${number}`, { signal })).blob());
}

/** Whether the service can answer. */
export async function isReady({ signal }) {
  return (await attempt("readyz", { signal })).ok;
}

/** Add a shoe with its picture, or replace the one of that id. */
export function putItem(id, picture, attributes) {
  const body = new FormData();
  body.append("attributes", JSON.stringify(attributes));
  body.append("image", picture, picture.name || "picture");
  return getJson(itemPath(id), { method: "PUT", body });
}

/** Change a shoe's attributes: null removes one. */
export function patchItem(id, attributes) {
  const headers = { "Content-Type": "application/merge-patch+json" };
  return getJson(itemPath(id), { method: "PATCH", body: JSON.stringify({ attributes }), headers });
}

/** Remove a shoe. */
export function removeItem(id) {
  return request(itemPath(id), { method: "DELETE" });
}

/** Serve what is on disk now: a list of the workers, each with what it serves. */
export async function reload() {
  return (await getJson("v1/admin/reload", { method: "POST" })).workers;
}
