// solemate's page. The address says what to show (route.js); `show` brings it to the screen.

import { countFacets, findSimilar, getInfo, getItem, listItems, toApiError } from "./api.js";
import { byId, isPlainClick } from "./dom.js";
import * as filters from "./filters.js";
import * as intake from "./intake.js";
import { button, hush, say } from "./notice.js";
import * as photos from "./photos.js";
import * as query from "./query.js";
import * as results from "./results.js";
import * as routes from "./route.js";
import { isAuto } from "./view.js";
import * as words from "./words.js";

const PAGE = 24;

let info = { conditions: [], attributes: [], limits: {}, catalog: {} };
let shown = null; // the route on the screen
let pictured = null; // the route whose query pictures are on the screen
let answer = null; // the shoes on the screen: {shoes, total, next, facets}
let settled = null; // the last route that was answered, with its answer: {route, answer}
const seen = new Map(); // every shoe that was in the grid, by id
let gap = null; // where a shoe was hidden: the one that takes its place gets the focus
let asking = new AbortController(); // ends the requests made for the route on the screen

function isQuery(route) {
  return Boolean(route.item || route.photo);
}

function conditionOf(route) {
  return route.condition ?? info.conditions[0];
}

/** How many shoes a route can show, on all its pages. */
function deepest(route) {
  return isQuery(route) ? (info.limits.max_depth ?? Infinity) : Infinity;
}

async function ask(route, signal, { k = PAGE, cursor = null } = {}) {
  const { filters, hidden } = route;
  if (!isQuery(route)) {
    const { items, next, total } = await listItems({ filters, cursor, limit: PAGE, signal });
    return { shoes: items, next, total };
  }
  const options = { filters, hidden, condition: conditionOf(route), fold: route.fold, cursor, signal };
  options.k = Math.min(k, info.limits.max_k ?? PAGE);
  const { hits, next } = route.photo
    ? await photos.search(photos.get(route.photo), route.view, options)
    : await findSimilar(route.item, options);
  return { shoes: hits, next };
}

/** The shoes after those of `before`, put behind them. */
async function askMore(route, signal, before) {
  try {
    const k = Math.min(PAGE, deepest(route) - before.shoes.length);
    const { shoes, next, total } = await ask(route, signal, { k, cursor: before.next });
    return { ...before, shoes: [...before.shoes, ...shoes], next, total: total ?? before.total };
  } catch (error) {
    if (error.status !== 409) throw error;
    // The catalogue has changed in between: what is on the screen is replaced by the answer of now.
    return ask(route, signal, { k: before.shoes.length + PAGE });
  }
}

function viewing(signal) {
  return { signal, finds: Boolean(info.checkpoint.subjects), onView: lookAt };
}

/** Show the query that is on the screen already; a photo may be looked at in another way. */
async function showAgain(route, signal) {
  if (route.photo) await query.showView(photos.get(route.photo), route.view, viewing(signal));
}

async function showQuery(route, signal) {
  document.body.dataset.view = isQuery(route) ? "results" : "start";
  byId("intro").hidden = isQuery(route);
  document.title = isQuery(route) ? "Similar shoes · solemate" : "solemate";
  if (!isQuery(route)) return query.clear();
  if (route.photo) return query.showPhoto(photos.get(route.photo), route.view, viewing(signal));
  query.awaitItem();
  // A shoe chosen from the grid is known already; one from an address is not.
  const shoe = seen.get(route.item) ?? (await getItem(route.item, { signal }));
  query.showItem(shoe, info.attributes);
  document.title = `Like ${words.describe(shoe, info.attributes).name} · solemate`;
}

/** Show the filters with their counts, and return those: `counted`, where they are known already. */
async function showFacets(route, signal, counted) {
  try {
    const facets = counted ?? (await countFacets(route.filters, { signal }));
    filters.show(facets, { keys: info.attributes, filters: route.filters, onToggle: toggle });
    return facets;
  } catch (error) {
    // Filters are a help, not the answer: without them the shoes still show. A wrong filter fails the search too.
    if (error.name !== "AbortError") filters.hide();
    return undefined;
  }
}

function heading(route) {
  byId("results-heading").textContent = isQuery(route) ? "Most similar" : "Or start from one of these";
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
  } else {
    results.showEmpty(isQuery(route) ? "There is no other shoe to compare with." : "The catalogue is empty.");
  }
}

/** Why there is nothing more to show, where "Show more" was there before. */
function ending(tooDeep) {
  const { shoes, next, total } = answer;
  if (tooDeep) {
    const all = total ? `the ${words.count(shoes.length)} nearest of ${words.shoes(total)}` : "the nearest shoes";
    return `These are ${all}: a search goes no deeper. Filters bring others into view.`;
  }
  return next || shoes.length <= PAGE ? "" : `That is all: ${words.shoes(shoes.length)}.`;
}

function present(route) {
  for (const shoe of answer.shoes) seen.set(shoe.id, shoe);
  routes.keep(answer);
  tally(route);
  if (!answer.shoes.length) return presentNothing(route);
  const like = (shoe) => ({ item: shoe.id, condition: route.condition, fold: route.fold, filters: route.filters });
  const tooDeep = answer.shoes.length >= deepest(route);
  results.show(answer.shoes, {
    keys: info.attributes,
    hrefOf: (shoe) => routes.format(like(shoe)),
    onChoose: (shoe) => routes.go(like(shoe)),
    onHide: isQuery(route) ? hide : null,
    onMore: answer.next && !tooDeep ? () => showMore(route) : null,
    ending: ending(answer.next && tooDeep),
  });
}

async function showMore(route) {
  const before = answer;
  const { signal } = asking;
  try {
    const found = await askMore(route, signal, before);
    answer = { ...before, ...found, total: found.total ?? before.total };
    settled = { route, answer };
    present(route);
    results.focusShoe(before.shoes.length);
  } catch (cause) {
    if (signal.aborted) return;
    const error = toApiError(cause);
    results.allowMore();
    say(error.title, error.message);
  }
}

/** Look at the photo in another way. The first one is a step that Back undoes; those after it correct it. */
function lookAt(view) {
  routes.go({ ...shown, view }, { replace: !isAuto(shown.view) || isAuto(view) });
}

function toggle(filter) {
  routes.go({ ...shown, filters: filters.toggled(shown.filters, filter) });
}

function hide(shoe, index) {
  gap = index;
  routes.go({ ...shown, hidden: [...shown.hidden, shoe.id] });
}

function showHidden() {
  routes.go({ ...shown, hidden: [] });
}

function clearFilters() {
  routes.go({ ...shown, filters: [] });
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
    routes.go({ filters: route.filters }, { replace: true });
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

/** Bring a route to the screen; `kept` is what it showed before, when Back returns to it. */
async function show(route, kept) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  if (route.photo && !photos.get(route.photo)) {
    routes.go({ filters: route.filters }, { replace: true });
    say("The photo is gone.", "Photos are kept in their own tab only, and there the latest. Choose it once more.");
    return;
  }
  hush();
  const first = shown === null;
  const refined = routes.sameQuery(pictured, route);
  const reviewed = refined && !routes.sameView(pictured, route);
  shown = route;
  pictured = route;
  byId("shelf").hidden = false;
  heading(route);
  if (!kept && (!refined || reviewed)) byId("results-count").textContent = isQuery(route) ? "Searching…" : "";
  query.markCondition(conditionOf(route));
  byId("fold-choice").hidden = !isQuery(route) || info.duplicate_distance === null;
  byId("fold").checked = route.fold;
  const chips = { onToggle: toggle, onClear: clearFilters, hidden: route.hidden.length, onRestore: showHidden };
  filters.showChips(route.filters, chips);
  if (!kept) results.wait(PAGE, { dim: refined });
  if (!kept && !refined && !first) window.scrollTo(0, 0);
  const answering = async () => {
    const found = kept?.answer ?? (await ask(route, signal));
    signal.throwIfAborted();
    answer = found;
    settled = { route, answer };
    present(route);
    if (gap !== null) results.focusShoe(gap);
    gap = null;
    if (kept) window.scrollTo(0, kept.scroll);
  };
  try {
    const pictures = refined ? showAgain(route, signal) : showQuery(route, signal);
    if (isQuery(route) && !refined && !first) byId("query-title").focus({ preventScroll: true });
    const [facets] = await Promise.all([showFacets(route, signal, kept?.answer.facets), answering(), pictures]);
    signal.throwIfAborted();
    answer.facets ??= facets;
    answer.total ??= facets?.total;
    tally(route);
  } catch (error) {
    if (!signal.aborted) fail(error, route);
  }
}

function searchWith(photo) {
  const { formats, max_upload_bytes: limit } = info.limits;
  const name = photos.keep(photo, { formats, side: info.checkpoint.image_size, limit });
  const { condition, fold, filters: chosen } = shown ?? {};
  routes.go({ photo: name, condition, fold, filters: chosen ?? [] });
}

function showInfo() {
  const { catalog, limits, conditions } = info;
  byId("catalog-size").textContent = `${words.shoes(catalog.count)}`;
  byId("drop-limits").textContent = `${words.choice(limits.formats)}. Large photos are made smaller before they are sent.`;
  query.offerConditions(conditions, (condition) => {
    // The first condition is the usual one and stays out of the address.
    routes.go({ ...shown, condition: condition === conditions[0] ? null : condition });
  });
}

async function begin() {
  hush();
  results.wait(PAGE);
  try {
    info = await getInfo();
    info.attributes = words.kindFirst(info.attributes);
  } catch (cause) {
    results.clear();
    const error = toApiError(cause);
    const title = error.status === 401 ? error.title : "solemate is not ready.";
    say(title, error.message, [button("Try again", begin)]);
    return;
  }
  showInfo();
  intake.listen({
    onPhoto: searchWith,
    onShoe: (item) => routes.go({ item, filters: shown.filters }),
    onMiss: (title, text) => say(title, text),
  });
  routes.start(show);
}

for (const link of [byId("home"), byId("start-over")]) {
  link.addEventListener("click", (event) => {
    if (!isPlainClick(event)) return;
    event.preventDefault();
    routes.go({});
  });
}
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address after "#" belongs to the routes
  byId("results-heading").focus();
});
byId("fold").addEventListener("change", () => routes.go({ ...shown, fold: byId("fold").checked }));
filters.listen();
begin();
