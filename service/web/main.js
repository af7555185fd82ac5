// solemate's page. The address says what to show (base/route.js); each view brings its routes to the screen.

import { getInfo, toApiError } from "./base/api.js";
import { byId, isPlainClick, loadSheet } from "./base/dom.js";
import { button, hush, say } from "./base/notice.js";
import * as routes from "./base/route.js";
import * as words from "./base/words.js";
import * as intake from "./photo/intake.js";
import * as results from "./search/results.js";
import * as search from "./search/search.js";

/** How the views beside the search are loaded, when they are asked for. */
const VIEWS = {
  shoe: () => import("./views/shoe.js"),
  morph: () => import("./views/morph.js"),
  map: () => import("./views/map.js"),
  status: () => import("./views/status.js"),
};

const SHEET = new URL("./views.css", import.meta.url).href;

let info = null;
let leave = () => {}; // ends the view on the screen
let turn = 0; // counts the routes: a view that loads slowly must not come after the next one

function mark(name) {
  document.body.dataset.view = name;
  for (const view of ["search", ...Object.keys(VIEWS)]) byId(`view-${view}`).hidden = view !== name;
  for (const tab of byId("tabs").children) {
    if (tab.dataset.view === name) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
}

async function show(route, kept) {
  leave();
  hush();
  document.querySelector("#picker")?.close(); // a shoe is asked for on behalf of the view that goes
  turn += 1;
  const mine = turn;
  const changed = document.body.dataset.view !== route.name;
  mark(route.name);
  if (route.name === "search") {
    leave = search.leave;
    return search.show(route, kept);
  }
  const stop = new AbortController();
  leave = () => stop.abort();
  try {
    const [view] = await Promise.all([VIEWS[route.name](), loadSheet(SHEET)]);
    if (mine !== turn) return;
    if (!kept && changed) window.scrollTo(0, 0);
    await view.show(byId(`view-${route.name}`), route, { info, kept, changed, signal: stop.signal });
    if (mine !== turn) return;
    routes.keep(null);
    if (kept) window.scrollTo(0, kept.scroll);
  } catch (cause) {
    if (stop.signal.aborted) return;
    const error = toApiError(cause);
    say(error.title, error.message, [button("Try again", () => show(route, kept))]);
  }
}

function showInfo() {
  const { catalog, limits } = info;
  byId("catalog-size").textContent = words.shoes(catalog.count);
  byId("drop-limits").textContent = `${words.choice(limits.formats)}. Large photos are made smaller before they are sent.`;
}

async function begin() {
  hush();
  results.wait(24);
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
  search.start(info);
  intake.listen({ onPhoto: search.takePhoto, onShoe: search.takeShoe, onMiss: (title, text) => say(title, text) });
  routes.start(show);
  const samples = await import("./search/samples.js");
  samples.offer(info, search.takePhoto);
}

for (const link of [byId("home"), byId("start-over"), ...byId("tabs").children]) {
  link.addEventListener("click", (event) => {
    if (!isPlainClick(event)) return;
    event.preventDefault();
    routes.go(routes.parse(link.getAttribute("href")));
  });
}
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address after "#" belongs to the routes
  (document.body.dataset.view === "search" ? byId("results-heading") : byId("main")).focus();
});
begin();
