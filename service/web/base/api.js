// The service's HTTP interface, version 1.

import { currentKey, headersOf, renewKey } from "./key.js";

/** Where the service is: this file is at web/base/api.js there, whatever a proxy puts before its paths. */
const BASE = new URL("../../", import.meta.url).href;

/** A request that failed, in words fit for the person at the screen. `status` is 0 when no answer came at all. */
export class ApiError extends Error {
  constructor({ status = 0, title = "Something went wrong", detail, field = null }) {
    super(detail);
    this.name = "ApiError";
    this.status = status;
    this.title = title;
    this.field = field;
  }

  /** Whether the same request may succeed a little later. */
  get passing() {
    return [0, 401, 408, 429].includes(this.status) || this.status >= 500;
  }
}

/** Any error as one that may be shown; what nobody foresaw goes to the console and not to the screen. */
export function toApiError(error) {
  if (error instanceof ApiError) return error;
  console.error(error);
  return new ApiError({ detail: "The page could not show this answer." });
}

async function problemOf(response) {
  const fallback = `The service answered with status ${response.status}.`;
  try {
    const problem = await response.json();
    const text = (value, otherwise) => (typeof value === "string" && value ? value : otherwise);
    return new ApiError({
      status: response.status,
      title: text(problem.title, undefined),
      detail: text(problem.detail, fallback),
      field: text(problem.field, null),
    });
  } catch {
    return new ApiError({ status: response.status, detail: fallback });
  }
}

/** The answer to a request as it comes, an error too. */
export async function attempt(path, options) {
  try {
    return await fetch(new URL(path, BASE), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({
      title: "No connection",
      detail: "The service could not be reached. Check the connection and try again.",
    });
  }
}

/** The answer to a request, also where a key has to be asked for; throws ApiError. */
export async function request(path, options = {}) {
  let key = currentKey();
  let response = await attempt(path, { ...options, headers: { ...options.headers, ...headersOf(key) } });
  while (response.status === 401 && (await renewKey(key))) {
    key = currentKey();
    response = await attempt(path, { ...options, headers: { ...options.headers, ...headersOf(key) } });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** What a request is answered with. */
export async function getJson(path, options) {
  return (await request(path, options)).json();
}

/** A path with parameters; those that are null are none. */
export function withParameters(path, { filters = [], hidden = [], ...others }) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(others)) {
    if (value !== null && value !== undefined) parameters.set(name, value);
  }
  for (const { key, value } of filters) parameters.append("filter", `${key}:${value}`);
  for (const id of hidden) parameters.append("exclude", id);
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

function queryOf({ filters, among }) {
  const texts = filters.map(({ key, value }) => `${key}:${value}`);
  return among ? [...texts, { ids: among }] : texts;
}

/** The path of a shoe. */
export function itemPath(id) {
  return `v1/items/${encodeURIComponent(id)}`;
}

function asJson(content) {
  return { method: "POST", body: JSON.stringify(content), headers: { "Content-Type": "application/json" } };
}

/** Where a shoe's picture is. */
export function imageOf({ id }) {
  return new URL(`${itemPath(id)}/image`, BASE).href;
}

/** Where the picture is that a shoe's vector decodes to. */
export function reconstructionOf({ id }) {
  return new URL(`${itemPath(id)}/reconstruction`, BASE).href;
}

/** The id of the shoe whose picture is at an address; null for any other address. */
export function idOfImage(address) {
  const [, id] = (address.startsWith(BASE) && /^v1\/items\/([^/?#]+)\/image$/.exec(address.slice(BASE.length))) || [];
  return id ? decodeURIComponent(id) : null;
}

/** What is served: catalogue, conditions, attributes and limits. */
export function getInfo() {
  return getJson("v1/info");
}

/** One page of the catalogue, or of the shoes of it that have the ids `among`: {items, next, total}. */
export function listItems({ filters = [], among = null, cursor, limit, signal }) {
  if (among) return getJson("v1/items:query", { ...asJson({ filter: queryOf({ filters, among }), cursor, limit }), signal });
  return getJson(withParameters("v1/items", { filters, cursor, limit }), { signal });
}

/** One shoe of the catalogue. */
export function getItem(id, { signal }) {
  return getJson(itemPath(id), { signal });
}

function searchOptions({ condition, fold, k, cursor }) {
  return { condition, group: fold ? "duplicates" : null, k, cursor };
}

/** The body of a search: what is searched with, and the options of a route. */
function searchBody(examples, options) {
  return asJson({ ...examples, ...searchOptions(options), filter: queryOf(options), exclude: options.hidden });
}

/** A page of the shoes nearest to one of the catalogue, all of it: {hits, next}. */
export function findSimilar(id, { signal, filters, hidden, ...options }) {
  return getJson(withParameters(`${itemPath(id)}/similar`, { filters, hidden, ...searchOptions(options) }), { signal });
}

/**
 * A photo's vector, the checkpoint that made it, and what in the photo it is of: {vector, checkpoint, subject, confidence}.
 *
 * `options` say where the shoe is, as `optionsOf` a view does. `subject` and `confidence` are null where the checkpoint
 * does not tell.
 */
export async function embedPhoto(photo, options, { signal }) {
  const body = new FormData();
  for (const [name, value] of Object.entries(options)) body.append(name, value);
  body.append("image", photo, photo.name || "photo");
  const { embeddings, checkpoint } = await getJson("v1/embeddings", { method: "POST", body, signal });
  const [{ vector, subject = null, confidence = null }] = embeddings;
  return { vector, checkpoint, subject, confidence };
}

/** A page of the shoes nearest to a vector: {hits, next, checkpoint}. */
export function searchVector(vector, { signal, ...options }) {
  return getJson("v1/search/vector", { ...searchBody({ vector }, options), signal });
}

/** A page of the shoes that are like some examples and unlike others, each an id or a vector: {hits, next, checkpoint}. */
export function recommend({ positive, negative }, { signal, ...options }) {
  return getJson("v1/recommendations", { ...searchBody({ positive, negative }, options), signal });
}

/** A picture at an address that the service gave, as a blob. */
export async function getPicture(address) {
  return (await request(address)).blob();
}

/** What a vector decodes to, as a PNG blob. */
export async function reconstructVector(vector, { signal }) {
  return (await request("v1/reconstructions/vector", { ...asJson({ vector }), signal })).blob();
}

/**
 * The values of each attribute and how many shoes choosing them would leave: {facets, ranges, total}.
 *
 * Values of one attribute are alternatives, so an attribute's counts must not be narrowed by its own chosen values:
 * each attribute in use is counted again without them.
 */
export async function countFacets(filters, { among = null, signal }) {
  const ask = (some) =>
    among
      ? getJson("v1/facets:query", { ...asJson({ filter: queryOf({ filters: some, among }) }), signal })
      : getJson(withParameters("v1/facets", { filters: some }), { signal });
  const keys = [...new Set(filters.map(({ key }) => key))].filter((key) => !key.startsWith("-"));
  const [all, ...rest] = await Promise.all([
    ask(filters),
    ...keys.map((key) => ask(filters.filter((filter) => filter.key !== key))),
  ]);
  const [facets, ranges] = [{ ...all.facets }, { ...all.ranges }];
  keys.forEach((key, index) => {
    facets[key] = rest[index].facets[key] ?? [];
    if (rest[index].ranges?.[key]) ranges[key] = rest[index].ranges[key];
  });
  return { facets, ranges, total: all.total };
}
