// What is on the screen, as an address: Back, bookmarks and new tabs all work on it.
//
// A route has a `name`: "search", whose address is "#item=1&filter=Gender:Women", or a view of its own, as in
// "#/shoe?id=1&with=2". The address keeps it behind "#", so that the same page serves every route; "?" is read as well.
//
// A search is {item, photo, view, likes, dislikes, condition, fold, among, filters: [{key, value}], hidden: [id]}. `item`
// is a shoe's id; `photo` names a picture that lives in this tab only, and `view` how it is looked at (photo/view.js);
// without either, and without likes, the catalogue itself is shown. `fold` shows near-duplicates as one; `among` names
// shoes that were chosen on the map in this tab (search/among.js), and `hidden` are shoes to leave out. The other views
// have the parameters of VIEWS, each a text or null.

import * as views from "../photo/view.js";
import { newName } from "./tab.js";

const NOWHERE = {
  name: "search",
  item: null,
  photo: null,
  view: views.AUTO,
  likes: [],
  dislikes: [],
  condition: null,
  fold: true,
  among: null,
  filters: [],
  hidden: [],
};

/** The views beside the search, and what their addresses say. */
const VIEWS = {
  shoe: ["id", "with"],
  morph: ["from", "to", "step", "swap"],
  map: ["color"],
  status: [],
};

const isView = (name) => Object.hasOwn(VIEWS, name);

let listener = () => {};
let currentKey = null;

/** Per history entry of this tab: what was shown and how far it was scrolled. */
const kept = new Map();
const KEPT_ENTRIES = 40;

function readParameters(text) {
  // Normal form C, as the catalogue has all names: an address may have been typed or copied in another one.
  return new URLSearchParams([...new URLSearchParams(text)].map(([name, value]) => [name, value.normalize()]));
}

/** Read a route from the text of an address. */
export function parse(text) {
  const [, name, rest] = /^#\/(\w+)\??(.*)$/s.exec(text) ?? [];
  if (isView(name)) {
    const parameters = readParameters(rest);
    return { name, ...Object.fromEntries(VIEWS[name].map((key) => [key, parameters.get(key) || null])) };
  }
  const parameters = readParameters(text.replace(/^[#?]\/?/, ""));
  const filters = parameters.getAll("filter").flatMap((each) => {
    const colon = each.indexOf(":");
    return colon > 0 ? [{ key: each.slice(0, colon), value: each.slice(colon + 1) }] : [];
  });
  return {
    name: "search",
    item: parameters.get("item") || null,
    photo: parameters.get("photo") || null,
    view: views.parse(parameters),
    likes: parameters.getAll("like").filter(Boolean),
    dislikes: parameters.getAll("dislike").filter(Boolean),
    condition: parameters.get("condition") || null,
    fold: parameters.get("group") !== "none",
    among: parameters.get("among") || null,
    filters,
    hidden: parameters.getAll("exclude").filter(Boolean),
  };
}

/** The address of a route; parts left out of `route` are none. */
export function format(route) {
  const parameters = new URLSearchParams();
  if (isView(route.name)) {
    for (const key of VIEWS[route.name]) if (route[key] != null) parameters.set(key, route[key]);
    return `#/${route.name}${parameters.size ? `?${parameters}` : ""}`;
  }
  const { item, photo, view, likes, dislikes, condition, fold, among, filters, hidden } = { ...NOWHERE, ...route };
  if (item) parameters.set("item", item);
  if (photo) parameters.set("photo", photo);
  for (const [name, value] of Object.entries(views.parametersOf(view))) parameters.set(name, value);
  for (const id of likes) parameters.append("like", id);
  for (const id of dislikes) parameters.append("dislike", id);
  if (condition) parameters.set("condition", condition);
  if (!fold) parameters.set("group", "none");
  if (among) parameters.set("among", among);
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
  const address = location.pathname + format(route);
  currentKey = newName();
  if (replace) history.replaceState({ key: currentKey }, "", address);
  else history.pushState({ key: currentKey }, "", address);
  listener({ ...(isView(route.name) ? {} : NOWHERE), ...route }, before);
}

/** Write a route into the address without showing it anew: the screen shows it already. */
export function amend(route) {
  history.replaceState({ key: currentKey }, "", location.pathname + format(route));
}

function arrive() {
  currentKey = history.state?.key ?? newName();
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
