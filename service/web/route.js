// What is on the screen, as an address: Back, bookmarks and new tabs all work on it.
//
// A route is {item, photo, view, condition, fold, filters: [{key, value}], hidden: [id]}. `item` is a shoe's id; `photo`
// names a picture that lives in this tab only, and `view` how it is looked at (view.js); with neither, the catalogue
// itself is shown. `fold` shows near-duplicates as one; `hidden` are shoes to leave out. The address keeps it behind "#",
// so that the same page serves every route; "?" is read as well.

import * as views from "./view.js";

const NOWHERE = { item: null, photo: null, view: views.AUTO, condition: null, fold: false, filters: [], hidden: [] };
let listener = () => {};
let currentKey = null;
let counter = 0;

/** Per history entry of this tab: what was shown and how far it was scrolled. */
const kept = new Map();
const KEPT_ENTRIES = 40;

/** Read a route from the text of an address: "#item=1&filter=Gender:Women". */
export function parse(text) {
  // Normal form C, as the catalogue has all names: an address may have been typed or copied in another one.
  const given = [...new URLSearchParams(text.replace(/^[#?]/, ""))];
  const parameters = new URLSearchParams(given.map(([name, value]) => [name, value.normalize()]));
  const filters = parameters.getAll("filter").flatMap((each) => {
    const colon = each.indexOf(":");
    return colon > 0 ? [{ key: each.slice(0, colon), value: each.slice(colon + 1) }] : [];
  });
  return {
    item: parameters.get("item") || null,
    photo: parameters.get("photo") || null,
    view: views.parse(parameters),
    condition: parameters.get("condition") || null,
    fold: parameters.get("group") === "duplicates",
    filters,
    hidden: parameters.getAll("exclude").filter(Boolean),
  };
}

/** The address of a route; parts left out of `route` are none. */
export function format(route) {
  const { item, photo, view, condition, fold, filters, hidden } = { ...NOWHERE, ...route };
  const parameters = new URLSearchParams();
  if (item) parameters.set("item", item);
  if (photo) parameters.set("photo", photo);
  for (const [name, value] of Object.entries(views.parametersOf(view))) parameters.set(name, value);
  if (condition) parameters.set("condition", condition);
  if (fold) parameters.set("group", "duplicates");
  for (const { key, value } of filters) parameters.append("filter", `${key}:${value}`);
  for (const id of hidden) parameters.append("exclude", id);
  return `#${parameters}`;
}

/** True when two routes ask about the same picture, whatever the filters and the part of it that counts. */
export function sameQuery(one, other) {
  return one !== null && one.item === other.item && one.photo === other.photo;
}

/** True when two routes look at their picture in the same way. */
export function sameView(one, other) {
  return views.keyOf(one.view) === views.keyOf(other.view);
}

function newKey() {
  counter += 1;
  return `${Date.now().toString(36)}-${counter}`;
}

function leave() {
  const entry = kept.get(currentKey);
  if (entry) entry.scroll = window.scrollY;
}

/** Remember what the current history entry shows, for when Back returns to it. */
export function keep(answer) {
  kept.delete(currentKey);
  kept.set(currentKey, { answer, scroll: window.scrollY });
  if (kept.size > KEPT_ENTRIES) kept.delete(kept.keys().next().value);
}

/** Go to a route as a new history entry, or in place of the current one; `kept` is what it showed before, if known. */
export function go(route, { replace = false, kept: before = null } = {}) {
  leave();
  currentKey = newKey();
  const address = location.pathname + format(route);
  if (replace) history.replaceState({ key: currentKey }, "", address);
  else history.pushState({ key: currentKey }, "", address);
  listener({ ...NOWHERE, ...route }, before);
}

function arrive() {
  currentKey = history.state?.key ?? newKey();
  const inHash = location.hash.length > 1;
  const route = parse(inHash ? location.hash : location.search);
  history.replaceState({ key: currentKey }, "", location.pathname + format(route));
  listener(route, kept.get(currentKey) ?? null);
}

/** Call `onRoute(route, kept)` now and whenever the address changes. */
export function start(onRoute) {
  listener = onRoute;
  history.scrollRestoration = "manual";
  window.addEventListener("popstate", () => {
    leave();
    arrive();
  });
  arrive();
}
