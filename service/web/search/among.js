// Shoes chosen on the map, to search among. An address names the choice; its ids stay in this tab.

import * as tab from "../base/tab.js";

/** Most ids that the service takes in a filter. */
export const MOST = 10_000;

const choices = new Map();

/** Keep a choice, and return the name that a route calls it by. */
export function keep(ids) {
  const name = tab.newName();
  choices.set(name, ids);
  tab.keep(name, JSON.stringify(ids));
  return name;
}

/** The ids of the choice that a route names; null if it is not kept any more, or the route names none. */
export function idsOf({ among: name }) {
  if (name === null) return null;
  if (!choices.has(name)) {
    const text = tab.kept(name);
    if (text === null) return null;
    choices.set(name, JSON.parse(text));
  }
  return choices.get(name);
}
