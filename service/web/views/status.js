// What is served: the service's health, its catalogue and its network, and what may be changed.

import { countFacets } from "../base/api.js";
import { link, make, vary } from "../base/dom.js";
import { count, isAddress, label, megabytes, shoes, slice } from "../base/words.js";
import * as routes from "../base/route.js";
import { getCheckpoint, isReady } from "./api.js";
import { showPanel } from "./admin.js";
import { percent } from "./parts.js";
import { training } from "./training.js";

const VALUES = 6;

const RUNTIMES = { onnx: "ONNX Runtime", torch: "PyTorch" };

function panel(title, ...children) {
  return make("section", { class: "panel" }, make("h2", {}, title), ...children);
}

function facts(pairs) {
  return make("dl", { class: "facts" }, ...pairs.map(([term, text]) => make("div", {}, make("dt", {}, term), make("dd", {}, text))));
}

function health(ready, { version, catalog, checkpoint }) {
  const state = make("p", { class: ready ? "state good" : "state bad" }, ready ? "Answering" : "Not ready");
  return panel(
    "Service",
    state,
    facts([
      ["Version", version],
      ["Checkpoint", make("code", {}, checkpoint.digest.slice(0, 16))],
      ["Catalogue", make("code", {}, catalog.fingerprint)],
    ]),
    make("p", {}, make("a", { class: "button small", href: new URL("../../../docs", import.meta.url).href }, "Try the interface (HTTP)")),
  );
}

function network({ checkpoint, slices, conditions }) {
  const size = checkpoint.latent_size;
  const bar = ([name, [start, stop]]) =>
    make(
      "li",
      {},
      make("span", {}, slice(name)),
      vary(make("span", { class: "meter", "aria-hidden": "true" }), "share", (stop - start) / size),
      make("span", { class: "fine" }, count(stop - start)),
    );
  return panel(
    "Network",
    facts([
      ["Sees", `${checkpoint.image_size} × ${checkpoint.image_size} pixels`],
      ["Vector", `${count(size)} numbers`],
      ["Compares by", conditions.map(label).join(", ")],
      ["Finds shoes in photos", checkpoint.subjects ? "yes" : "no: a plain margin, or a box"],
      ["Run by", RUNTIMES[checkpoint.runtime] ?? checkpoint.runtime],
    ]),
    make("h3", {}, "What the numbers stand for"),
    make("ul", { class: "bars" }, ...Object.entries(slices).map(bar)),
  );
}

function search({ catalog, limits, duplicate_distance: near }) {
  return panel(
    "Search",
    facts([
      ["Index", catalog.index === "exact" ? "exact: every shoe is compared" : "approximate"],
      ...(catalog.recall === null ? [] : [["Recall", percent(catalog.recall)]]),
      ["Near-duplicates", near === null ? "not measured" : `at most ${near.toPrecision(3)} apart`],
      ["Shoes on a page", `at most ${count(limits.max_k)}`],
      ["Shoes in a search", `the ${count(limits.max_depth)} nearest at most`],
      ["A picture's file", `at most ${megabytes(limits.max_upload_bytes)}`],
      ["Formats", limits.formats.join(", ")],
    ]),
  );
}

function attribute(key, values, total) {
  const bar = ({ value, count: number }) => {
    const route = { filters: [{ key, value }] };
    return make(
      "li",
      {},
      link({ href: routes.format(route), go: () => routes.go(route) }, value),
      vary(make("span", { class: "meter", "aria-hidden": "true" }), "share", number / total),
      make("span", { class: "fine" }, count(number)),
    );
  };
  const rest = values.length - VALUES;
  const more = rest > 0 ? [make("p", { class: "fine" }, `and ${count(rest)} more`)] : [];
  return make("div", {}, make("h3", {}, label(key)), make("ul", { class: "bars" }, ...values.slice(0, VALUES).map(bar)), ...more);
}

function catalogue({ facets, ranges = {}, total }, keys) {
  const useful = keys.filter((key) => !(key in ranges) && facets[key]?.length > 1 && facets[key].length <= total / 2 && !isAddress(facets[key].map(({ value }) => value)));
  return make(
    "section",
    { class: "panel whole" },
    make("h2", {}, `Catalogue: ${shoes(total)}`),
    make("div", { class: "columns" }, ...useful.map((key) => attribute(key, facets[key], total))),
    facts(Object.entries(ranges).map(([key, { min, max }]) => [label(key), `${min} to ${max}`])),
  );
}

/** Show what is served. */
export async function show(view, _route, { info, signal }) {
  document.title = "Status · solemate";
  const [ready, facets, record] = await Promise.all([
    isReady({ signal }),
    countFacets([], { signal }),
    getCheckpoint({ signal }).catch(() => null), // an older service
  ]);
  signal.throwIfAborted();
  const admin = make("section", { class: "panel" });
  showPanel(admin);
  view.replaceChildren(
    make("h1", { tabindex: -1 }, "Status"),
    make("div", { class: "panels" }, health(ready, info), network(info), search(info), admin, (record && training(record)) ?? "", catalogue(facets, info.attributes)),
  );
  view.querySelector("h1").focus({ preventScroll: true });
}
