// Where the shoe is in a photo: the box that was found is drawn on it, and can be moved, resized and turned.

import * as cropbox from "./cropbox.js";
import { byId, draw } from "../base/dom.js";
import { degrees, fit, turnBox, turnedSize, WHOLE } from "./view.js";

/** Milliseconds from the last change of the box to the search. */
const PAUSE = 300;

/** Share of the photo below which a box that moved is taken for the same. */
const LEAST_CHANGE = 0.004;

const NUMBERS = ["box-left", "box-top", "box-width", "box-height"];

/** Screens on which the box can be moved at once; on smaller ones the photo is made large first. */
const wide = window.matchMedia("(min-width: 60rem)");

let current = null; // {image, view, box, onView}: the photo, what is said of it, and the box on the screen
let editor = null; // the promise of the box that can be dragged
let editing = null; // what ends it
let timer = null;
let dragging = false;

function sizeOf({ naturalWidth: width, naturalHeight: height }) {
  return { width, height };
}

/** Draw the box on the upright photo. */
function outline() {
  const { image, box, view } = current;
  const { width, height } = sizeOf(image);
  const turned = turnedSize({ width, height }, view.rotate);
  const [left, top, across, down] = box;
  const rectangle = draw("rect", {
    x: width / 2 + (left - 0.5) * turned.width,
    y: height / 2 + (top - 0.5) * turned.height,
    width: across * turned.width,
    height: down * turned.height,
    transform: `rotate(${view.rotate} ${width / 2} ${height / 2})`,
  });
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "outline", "aria-hidden": "true" }, rectangle);
}

function removeOutline() {
  byId("query-picture").querySelector(".outline")?.remove();
}

async function paint() {
  const { box, view } = current;
  NUMBERS.forEach((id, index) => {
    byId(id).value = Math.round(box[index] * 100);
  });
  byId("turn").value = view.rotate;
  byId("turn-degrees").textContent = `${view.rotate}°`;
  const opened = await editor;
  if (current?.box !== box) return;
  removeOutline();
  if (opened) opened.place(box, view.rotate);
  else byId("query-picture").append(outline());
}

/** What somebody says of the photo; the search follows after a pause. */
function change(view, box) {
  current.view = { ...current.view, whole: false, ...view };
  current.box = box;
  paint();
  clearTimeout(timer);
  const { onView } = current;
  timer = setTimeout(() => {
    timer = null;
    onView(current.view);
  }, PAUSE);
}

function changeBox(given) {
  dragging = false;
  const { image, view, box } = current;
  const fitting = fit(given, turnedSize(sizeOf(image), view.rotate));
  const isMoved = fitting.some((share, index) => Math.abs(share - box[index]) > LEAST_CHANGE);
  if (isMoved) change({ box: fitting }, fitting);
}

function turnTo(number) {
  const { view, box, image } = current;
  const rotate = degrees(number);
  const turned = turnBox(box, view.rotate, rotate, sizeOf(image));
  change({ rotate, whole: view.whole, box: view.box && turned }, view.whole ? WHOLE : turned);
}

/** Make the box one that can be dragged. */
async function edit() {
  byId("query").classList.add("editing");
  byId("framing-toggle").setAttribute("aria-expanded", "true");
  byId("framing-toggle").textContent = "Done";
  byId("framing").hidden = false;
  editing = new AbortController();
  const { signal } = editing;
  const opening = cropbox.open(current.image, {
    signal,
    label: "Box around the shoe",
    describedBy: "framing-hint",
    onStart: () => {
      dragging = true;
    },
    onChange: changeBox,
  });
  // Without it the box still goes by the numbers.
  editor = opening.catch((error) => {
    if (!signal.aborted) console.error(error);
  });
  const opened = await editor;
  if (signal.aborted) return;
  if (!opened) editor = null;
  paint();
}

function close() {
  byId("query").classList.remove("editing");
  byId("framing-toggle").setAttribute("aria-expanded", "false");
  byId("framing-toggle").textContent = "Adjust box";
  byId("framing").hidden = true;
  editing?.abort();
  editor = null;
}

/**
 * Show what of a photo was taken for the shoe. `image` shows the photo, and is loaded; `subject` is the service's.
 *
 * `onView(view)` is called when somebody says something else.
 */
export function show(image, view, subject, onView) {
  if (current?.image === image) {
    // The answer to an earlier box must not move the one that is being dragged.
    if (timer !== null || dragging) return;
  } else {
    hide();
  }
  const box = view.box ?? (view.whole ? WHOLE : (subject?.box ?? WHOLE));
  const fresh = current === null;
  current = { image, view, box, onView };
  byId("query").classList.add("framed");
  byId("framing-toggle").hidden = false;
  paint();
  if (fresh && wide.matches) edit();
}

/** Take the box away. */
export function hide() {
  clearTimeout(timer);
  timer = null;
  dragging = false;
  if (!current) return;
  close();
  removeOutline();
  current = null;
  byId("query").classList.remove("framed");
  byId("framing-toggle").hidden = true;
}

byId("framing-toggle").addEventListener("click", () => {
  if (byId("query").classList.contains("editing")) {
    close();
    paint();
  } else {
    edit();
  }
});
byId("find-shoe").addEventListener("click", () => change({ box: null }, current.box));
byId("whole-photo").addEventListener("click", () => change({ box: null, whole: true }, WHOLE));
byId("turn-left").addEventListener("click", () => turnTo(current.view.rotate + 90));
byId("turn-right").addEventListener("click", () => turnTo(current.view.rotate - 90));
byId("turn").addEventListener("input", (event) => turnTo(event.target.valueAsNumber));
for (const id of NUMBERS) {
  byId(id).addEventListener("change", () => {
    const box = NUMBERS.map((each) => byId(each).valueAsNumber / 100);
    if (box.every(Number.isFinite)) changeBox(box);
    paint();
  });
}
