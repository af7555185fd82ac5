// The search: a photo, a shoe or likes against the catalogue, or the catalogue itself.

import { countFacets, findSimilar, getItem, listItems, recommend, toApiError } from "../base/api.js";
import { byId } from "../base/dom.js";
import { button, hush, say, toast } from "../base/notice.js";
import * as routes from "../base/route.js";
import * as words from "../base/words.js";
import * as photos from "../photo/photos.js";
import { isAuto } from "../photo/view.js";
import * as among from "./among.js";
import * as conditions from "./conditions.js";
import * as filters from "./filters.js";
import * as query from "./query.js";
import * as results from "./results.js";

const PAGE = 24;

const PITCH = byId("intro-heading").textContent;

/** Brands that only the catalogue has that `solemate demo-catalog` draws. */
const DRAWN = ["Alderfoot", "Saltmarsh"];

let info = null; // what is served
let shown = null; // the route on the screen
let pictured = null; // the route whose query pictures are on the screen
let answer = null; // the shoes on the screen: {shoes, total, next, catalog, facets}
let settled = null; // the last route that was answered, with its answer: {route, answer}
const seen = new Map(); // every shoe that was in the grid, by id
let gap = null; // where a shoe went away: the one that takes its place gets the focus
let counted = null; // the counts beside the filters, and what they are of: {of, facets}
let asking = new AbortController(); // ends the requests made for the route on the screen

/** A shoe that was shown before, by its id. */
export function known(id) {
  return seen.get(id);
}

/** Remember shoes, so that a view that opens one has its words at once. */
export function meet(shoes) {
  for (const shoe of shoes) seen.set(shoe.id, shoe);
}

/** Forget a shoe that was changed or removed, and what the search shows of it. */
export function forget(id) {
  seen.delete(id);
  pictured = null;
}

/** The shoes that were shown last, at most so many. */
export function recent(number) {
  return [...seen.values()].slice(-number).reverse();
}

function isQuery(route) {
  return Boolean(route.item || route.photo || route.likes.length);
}

function conditionOf(route) {
  return route.condition ?? info.conditions[0];
}

/** How many shoes a route can show, on all its pages. */
function deepest(route) {
  return isQuery(route) ? (info.limits.max_depth ?? Infinity) : Infinity;
}

function folds(route) {
  return route.fold && info.duplicate_distance !== null;
}

async function ask(route, signal, { k = PAGE, cursor = null } = {}) {
  const { filters: chosen, likes, dislikes } = route;
  const ids = among.idsOf(route);
  if (!isQuery(route)) {
    const { items, next, total, catalog } = await listItems({ filters: chosen, among: ids, cursor, limit: PAGE, signal });
    return { shoes: items, next, total, catalog };
  }
  const hidden = [...route.hidden, ...dislikes];
  const options = { filters: chosen, among: ids, hidden, condition: conditionOf(route), fold: folds(route), cursor, signal };
  options.k = Math.min(k, info.limits.max_k ?? PAGE);
  const { hits, next, catalog } = await find(route, { likes, dislikes }, options);
  return { shoes: hits, next, catalog };
}

function find(route, { likes, dislikes }, options) {
  if (route.photo) return photos.search(photos.get(route.photo), route.view, { likes, dislikes, ...options });
  const positive = route.item ? [route.item, ...likes] : likes;
  // An address has no room for a choice from the map.
  if (!route.item || likes.length || dislikes.length || options.among) return recommend({ positive, negative: dislikes }, options);
  return findSimilar(route.item, options);
}

/** The shoes after those of `before`, put behind them. */
async function askMore(route, signal, before) {
  try {
    const { shoes, next, total } = await ask(route, signal, { k: PAGE, cursor: before.next });
    return { ...before, shoes: [...before.shoes, ...shoes], next, total: total ?? before.total };
  } catch (error) {
    if (error.status !== 409) throw error;
    // The catalogue has changed in between: what is on the screen is replaced by the answer of now.
    return ask(route, signal, { k: before.shoes.length + PAGE });
  }
}

async function showQuery(route, signal) {
  byId("intro").hidden = isQuery(route);
  document.title = isQuery(route) ? "Similar shoes · solemate" : "solemate";
  if (!isQuery(route)) return query.clear();
  if (route.photo) return query.showPhoto(photos.get(route.photo), { signal });
  if (!route.item) return query.showLikes(route.likes);
  query.awaitItem();
  // A shoe chosen from the grid is known already; one from an address is not.
  const shoe = seen.get(route.item) ?? (await getItem(route.item, { signal }));
  meet([shoe]);
  query.showItem(shoe, info.attributes);
  document.title = `Like ${words.describe(shoe, info.attributes).name} · solemate`;
}

/** Show the filters with their counts, and return those. */
async function showFacets(route, signal) {
  const of = JSON.stringify([route.filters, route.among, answer.catalog]);
  if (counted?.of === of) return counted.facets;
  try {
    const ids = among.idsOf(route);
    const facets = answer.facets ?? (await countFacets(route.filters, { among: ids, signal }));
    signal.throwIfAborted();
    counted = { of, facets };
    const brands = (facets.facets.Brand ?? []).map(({ value }) => value);
    byId("drawn").hidden = !DRAWN.every((brand) => brands.includes(brand));
    filters.show(facets, { keys: info.attributes, filters: route.filters, among: ids !== null, onToggle: toggle });
    return facets;
  } catch (error) {
    // Filters are a help, not the answer: without them the shoes still show. A wrong filter fails the search too.
    if (error.name === "AbortError") return undefined;
    counted = null;
    filters.hide();
    return undefined;
  }
}

function head(route, [first] = []) {
  const far = isQuery(route) && !route.dislikes.length && first && first.score < words.RELATED;
  const browsed = route.among ? "Chosen on the map" : "The catalogue";
  byId("results-heading").textContent = !isQuery(route) ? browsed : far ? "Nothing here is close" : "Most similar";
}

/** Once the shoes are on the screen: all that is not needed to see them comes after them. */
function painted() {
  return new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
}

function tally(route) {
  const { shoes, total } = answer;
  const number = words.count(shoes.length);
  let text = "";
  if (shoes.length && !isQuery(route)) text = words.shoes(total);
  else if (shoes.length) text = total ? `${number} nearest of ${words.shoes(total)}` : `${number} nearest`;
  // Writing the same text again would make screen readers repeat it.
  if (byId("results-count").textContent !== text) byId("results-count").textContent = text;
}

function presentNothing(route) {
  if (route.hidden.length) {
    results.showEmpty("There is no shoe that you did not hide.", button("Show the hidden ones", showHidden));
  } else if (route.filters.length) {
    results.showEmpty("No shoe matches all of these filters.", button("Clear the filters", clearFilters));
  } else if (route.among) {
    results.showEmpty("There is no other shoe in the choice from the map.", button("Search the whole catalogue", searchWhole));
  } else {
    results.showEmpty(isQuery(route) ? "There is no other shoe to compare with." : "The catalogue is empty.");
  }
}

/** Why there is nothing more to show. */
function ending(tooDeep) {
  const { shoes, next, total } = answer;
  if (tooDeep) {
    const all = total ? `the ${words.count(shoes.length)} nearest of ${words.shoes(total)}` : "the nearest shoes";
    return `These are ${all}: a search goes no deeper. Filters bring others into view.`;
  }
  return next ? "" : `That is all: ${words.shoes(shoes.length)}.`;
}

function searchWith(shoe) {
  const { condition, fold, among: choice, filters: chosen } = shown;
  routes.go({ item: shoe.id, condition, fold, among: choice, filters: chosen });
}

function present(route) {
  meet(answer.shoes);
  routes.keep(answer);
  head(route, answer.shoes);
  tally(route);
  if (!answer.shoes.length) return presentNothing(route);
  const open = ({ id }) => ({ name: "shoe", id, with: route.item && route.item !== id ? route.item : null });
  const tooDeep = answer.shoes.length >= deepest(route) && answer.shoes.length < (answer.total ?? Infinity);
  results.show(answer.shoes, {
    keys: info.attributes,
    likes: route.likes,
    measured: route.dislikes.length === 0, // with dislikes, distances are from a point beyond all shoes
    hrefOf: (shoe) => routes.format(open(shoe)),
    onOpen: (shoe) => routes.go(open(shoe)),
    onSearch: searchWith,
    onLike: like,
    onDislike: isQuery(route) ? dislike : null,
    next: answer.next ? () => showMore(route) : null,
    ending: ending(tooDeep),
  });
}

async function showMore(route) {
  const before = answer;
  const { signal } = asking;
  try {
    const found = await askMore(route, signal, before);
    signal.throwIfAborted();
    answer = { ...before, ...found, total: found.total ?? before.total };
    settled = { route, answer };
    present(route);
  } catch (cause) {
    if (signal.aborted) return;
    const error = toApiError(cause);
    results.allowMore(null);
    say(error.title, error.message, [
      button("Try again", () => {
        hush();
        results.allowMore(() => showMore(route));
      }),
    ]);
  }
}

function toggle(filter) {
  counted = null; // the box is ticked by now, whatever comes of the search
  routes.go({ ...shown, filters: filters.toggled(shown.filters, filter) });
}

function like(shoe) {
  const others = shown.likes.filter((id) => id !== shoe.id);
  const likes = others.length < shown.likes.length ? others : [...others, shoe.id];
  if (isQuery(shown)) gap = answer.shoes.findIndex(({ id }) => id === shoe.id);
  routes.go({ ...shown, likes, dislikes: shown.dislikes.filter((id) => id !== shoe.id) });
}

function dislike(shoe) {
  gap = answer.shoes.findIndex(({ id }) => id === shoe.id);
  routes.go({ ...shown, dislikes: [...shown.dislikes, shoe.id] });
}

function dropExample(kind, id) {
  const without = (ids) => ids.filter((each) => each !== id);
  const [likes, dislikes] = [without(shown.likes), without(shown.dislikes)];
  const still = { ...shown, likes, dislikes };
  routes.go(isQuery(still) ? still : { ...still, dislikes: [] });
}

/** Whether the search is on the screen: what was said there just before must not come over another view. */
function isHere() {
  return document.body.dataset.view === "search";
}

/** Look at the photo in another way, as somebody said; the first time is a new entry in the history. */
function lookAt(view) {
  if (!isHere()) return;
  routes.go({ ...shown, view }, { replace: !isAuto(shown.view) && !isAuto(view) });
}

function showHidden() {
  routes.go({ ...shown, hidden: [] });
}

function searchWhole() {
  routes.go({ ...shown, among: null });
}

function clearFilters() {
  routes.go({ ...shown, among: null, filters: [] });
}

/** Say what went wrong and offer the way on that fits. */
function fail(cause, route) {
  const error = toApiError(cause);
  asking.abort();
  pictured = null;
  const badView = ["crop", "rotate", "subject"].includes(error.field);
  const aboutRequest = ["filter", "condition", "k", "group", "exclude"].includes(error.field);
  const badPhoto = route.photo && !error.passing && !aboutRequest;
  if (settled && (badPhoto || error.passing)) {
    // What was on the screen comes back, under the message.
    routes.go(settled.route, { replace: true, kept: { answer: settled.answer, scroll: 0 } });
  } else if (badPhoto) {
    routes.go({ among: route.among, filters: route.filters }, { replace: true });
  }
  if (badPhoto) {
    say(badView ? "This box did not work." : "This photo did not work.", error.message);
    return;
  }
  if (settled && error.passing) {
    const text = `${words.sentence(error.message)} What was there before is below.`;
    say(error.title, text, [button("Try again", () => routes.go(route))]);
    return;
  }
  results.clear();
  byId("shelf").hidden = true;
  if (error.status === 404) query.clear();
  else query.giveUp();
  const actions = [];
  if (error.passing) actions.push(button("Try again", () => show(route, null)));
  if (aboutRequest) {
    actions.push(button("Clear the filters", () => routes.go({ item: route.item, photo: route.photo })));
  }
  if (isQuery(route)) actions.push(button("Back to the start", () => routes.go({})));
  say(error.title, error.message, actions);
}

/** End what is being asked for: another view comes to the screen. */
export function leave() {
  asking.abort();
}

/** Bring a route to the screen; `kept` is what it showed before, when Back returns to it. */
export async function show(route, kept) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  if (route.photo && !photos.get(route.photo)) {
    routes.go({ among: route.among, filters: route.filters }, { replace: true });
    say("The photo is gone.", "Photos are kept in their own tab only, and there the latest. Choose it once more.");
    return;
  }
  const ids = among.idsOf(route);
  if (route.among && !ids) {
    routes.go({ ...route, among: null }, { replace: true });
    say("The choice from the map is gone.", "It is kept in its own tab only. This is the whole catalogue; the map is there to choose anew.");
    return;
  }
  const first = shown === null;
  const place = gap; // it is of this route only, also where another one follows before the answer
  gap = null;
  const refined = isQuery(route) === isQuery(pictured ?? route) && routes.sameQuery(pictured, route);
  const reviewed = refined && !routes.sameView(pictured, route);
  shown = route;
  pictured = route;
  document.body.dataset.query = isQuery(route) ? "yes" : "no";
  byId("shelf").hidden = false;
  if (!kept && (!refined || reviewed)) {
    head(route);
    byId("results-count").textContent = isQuery(route) ? "Searching…" : "";
  }
  conditions.show(conditionOf(route), isQuery(route));
  byId("fold-choice").hidden = !isQuery(route) || info.duplicate_distance === null;
  byId("fold").checked = route.fold;
  query.showExamples(route, dropExample);
  byId("intro").classList.toggle("compact", ids !== null);
  byId("intro-heading").textContent = ids ? `Search among ${words.shoes(ids.length)}` : PITCH;
  const chips = {
    onToggle: toggle,
    onClear: clearFilters,
    among: ids?.length ?? 0,
    onWhole: searchWhole,
    hidden: route.hidden.length,
    onRestore: showHidden,
  };
  filters.showChips(route.filters, chips);
  if (!kept) results.wait(PAGE);
  if (!kept && !refined && !first) window.scrollTo(0, 0);
  const answering = async () => {
    const found = kept?.answer ?? (await ask(route, signal));
    signal.throwIfAborted();
    answer = found;
    settled = { route, answer };
    present(route);
    if (place !== null) results.focusShoe(place);
    if (kept) window.scrollTo(0, kept.scroll);
  };
  try {
    const pictures = refined ? null : showQuery(route, signal);
    if (isQuery(route) && !refined && !first) byId("query-title").focus({ preventScroll: true });
    await Promise.all([answering(), pictures]);
    await painted();
    signal.throwIfAborted();
    const viewing = { signal, finds: Boolean(info.checkpoint.subjects), onView: lookAt };
    const view = route.photo ? query.showView(photos.get(route.photo), route.view, viewing) : null;
    const [facets] = await Promise.all([showFacets(route, signal), view]);
    signal.throwIfAborted();
    answer.facets ??= facets;
    answer.total ??= facets?.total;
    tally(route);
  } catch (error) {
    if (!signal.aborted) fail(error, route);
  }
}

/** Search with a photo, in place of what is searched with now. */
export function takePhoto(photo) {
  const { formats, max_upload_bytes: limit } = info.limits;
  const name = photos.keep(photo, { formats, side: info.checkpoint.image_size, limit });
  const { condition, fold, among: choice = null, filters: chosen = [] } = shown ?? {};
  routes.go({ photo: name, condition, fold, among: choice, filters: chosen });
}

/** Search with a shoe of the catalogue. */
export function takeShoe(item) {
  const { among: choice = null, filters: chosen = [] } = shown ?? {};
  routes.go({ item, among: choice, filters: chosen });
}

async function share() {
  // A photo stays in its tab; what can be shared instead is the search by the shoe that is nearest to it.
  const item = shown.item ?? shown.likes[0] ?? answer?.shoes[0]?.id;
  if (!item) return;
  const { condition, fold, filters: chosen, likes, dislikes } = shown;
  const route = shown.photo ? { item } : { item: shown.item, likes, dislikes };
  const address = new URL(routes.format({ ...route, condition, fold, filters: chosen }), location.href).href;
  try {
    await navigator.clipboard.writeText(address);
    const what = shown.photo ? "the search by the nearest shoe" : "this search";
    toast(`Copied a link to ${what}${shown.among ? ", in the whole catalogue: the choice from the map stays in this tab" : ""}.`);
  } catch {
    say("The link to share:", address);
  }
}

/** Make ready to show routes of what is served. */
export function start(served) {
  info = served;
  filters.listen();
  conditions.offer(info.conditions, (condition, { replace }) => {
    if (isHere()) routes.go({ ...shown, condition }, { replace });
  });
  byId("fold").addEventListener("change", () => routes.go({ ...shown, fold: byId("fold").checked }));
  byId("share").addEventListener("click", share);
}
