// What may be done with an admin key: add shoes, change and remove them, reload.

import { toApiError } from "../base/api.js";
import { make, vary } from "../base/dom.js";
import { isKey, MALFORMED, useKey } from "../base/key.js";
import { say, toast } from "../base/notice.js";
import * as routes from "../base/route.js";
import { count, shoes } from "../base/words.js";
import { forget, meet } from "../search/search.js";
import { patchItem, putItem, reload, removeItem } from "./api.js";
import { iconButton } from "./parts.js";

/** What says in this tab that its key may change the catalogue. */
const ADMIN = "solemate.admin";

/** Pictures that are sent at once. */
const AT_ONCE = 2;

/** Whether somebody has given a key with which the catalogue may be changed. */
function isAdmin() {
  return sessionStorage.getItem(ADMIN) !== null;
}

/** Use a key that may change the catalogue; what is wrong with it, or "". */
function useAdminKey(key) {
  if (!isKey(key)) return MALFORMED;
  useKey(key);
  sessionStorage.setItem(ADMIN, "yes");
  return "";
}

function forgetKey() {
  useKey(null);
  sessionStorage.removeItem(ADMIN);
}

/** Attributes as lines of text: "Brand: Acme, Bolt". */
function toText(attributes) {
  return Object.entries(attributes).map(([key, values]) => `${key}: ${values.join(", ")}`).join("\n");
}

/** Lines of text as attributes; null in place of those that make no sense. */
function fromText(text) {
  const lines = text.split("\n").filter((line) => line.trim());
  const pairs = lines.map((line) => /^\s*([^:]+?)\s*:\s*(.*?)\s*$/.exec(line));
  if (pairs.some((pair) => pair === null || !pair[2])) return null;
  return Object.fromEntries(pairs.map(([, key, values]) => [key, values.split(",").map((value) => value.trim()).filter(Boolean)]));
}

const EXPECTED = "Expected one attribute a line, such as “Brand: Acme, Bolt”.";

function complain(cause) {
  const error = toApiError(cause);
  say(error.title, error.message);
}

async function attempt(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (cause) {
    complain(cause);
  } finally {
    button.disabled = false;
  }
}

/**
 * Show in a section how a shoe's attributes are changed and how it is removed, to those who have given an admin key;
 * `onChange(shoe)` is called with what a change made of it.
 */
export function showEditor(section, shoe, onChange) {
  section.hidden = !isAdmin();
  if (section.hidden) return;
  let known = shoe; // as the service has it, after the last change
  const field = make("textarea", { class: "field", rows: 6, "aria-label": "Attributes, one a line", spellcheck: "false" });
  field.value = toText(shoe.attributes);
  const save = make("button", { type: "button", class: "button small primary", click: () => attempt(save, change) }, "Save");
  const sure = make("dialog", { class: "key", "aria-label": "Remove this shoe?" });
  const remove = make("button", { type: "button", class: "button small bad", click: () => sure.showModal() }, "Remove this shoe");
  const confirm = make("button", { type: "button", class: "button bad", click: () => attempt(confirm, drop) }, "Remove it");
  sure.append(
    make("h2", {}, "Remove this shoe?"),
    make("p", {}, `${shoe.id} will be gone from the catalogue for everybody.`),
    make("p", { class: "buttons" }, make("button", { type: "button", class: "button", click: () => sure.close() }, "Keep it"), confirm),
  );

  async function change() {
    const attributes = fromText(field.value);
    if (attributes === null) {
      say("These attributes can't be read.", EXPECTED);
      return;
    }
    const gone = Object.keys(known.attributes).filter((key) => !(key in attributes));
    known = await patchItem(shoe.id, { ...attributes, ...Object.fromEntries(gone.map((key) => [key, null])) });
    forget(shoe.id);
    meet([known]);
    onChange(known);
    toast("Saved.");
  }

  async function drop() {
    await removeItem(shoe.id);
    forget(shoe.id);
    sure.close();
    routes.go({});
    toast("Removed.");
  }

  const summary = make("summary", {}, "Edit or remove this shoe");
  const body = make("div", { class: "editor" }, field, make("p", { class: "buttons" }, save, remove), sure);
  section.replaceChildren(make("details", {}, summary, body));
}

function keyForm(redraw) {
  const problem = make("p", { class: "fine", role: "alert" });
  const input = make("input", { type: "password", autocomplete: "off", "aria-label": "Admin key", placeholder: "Admin key" });
  const use = () => {
    problem.textContent = useAdminKey(input.value.trim());
    if (!problem.textContent) redraw();
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") use();
  });
  return [
    make("p", { class: "fine" }, "With an admin key, shoes can be added, changed and removed here. It is kept in this tab only."),
    make("p", { class: "buttons" }, input, make("button", { type: "button", class: "button", click: use }, "Use this key")),
    problem,
  ];
}

/** Add pictures one after another; `onDone(name, problem)` after each. */
async function addAll(files, attributes, onDone) {
  const waiting = [...files];
  const worker = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) {
      const id = file.name.replace(/\.[^.]+$/, "");
      try {
        meet([await putItem(id, file, attributes)]);
        onDone(id, null);
      } catch (cause) {
        onDone(id, toApiError(cause).message);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

function uploader() {
  const field = make("textarea", { class: "field", rows: 2, "aria-label": "Attributes of all of them, one a line", placeholder: "Brand: Acme", spellcheck: "false" });
  const input = make("input", { type: "file", multiple: true, accept: "image/*", class: "unseen", tabindex: -1, "aria-hidden": "true" });
  const progress = make("div", { class: "progress", role: "status" });
  const zone = make(
    "div",
    { class: "drop add-drop" },
    make("p", {}, "Drop pictures of shoes here: each becomes one, by its file's name."),
    iconButton("plus", "Choose pictures", () => input.click()),
    input,
  );
  const take = async (files) => {
    const attributes = fromText(field.value);
    if (attributes === null) {
      say("These attributes can't be read.", EXPECTED);
      return;
    }
    const total = files.length;
    const [bar, text, list] = [vary(make("span", { class: "meter" }), "share", 0), make("p", {}), make("ul", { class: "fine" })];
    progress.replaceChildren(bar, text, list);
    let [done, failed] = [0, 0];
    await addAll(files, attributes, (name, problem) => {
      done += 1;
      if (problem) failed += 1;
      vary(bar, "share", done / total);
      text.textContent = `${count(done)} of ${count(total)}${failed ? `, ${count(failed)} refused` : ""}`;
      if (problem) list.append(make("li", {}, `${name}: ${problem}`));
    });
  };
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  for (const kind of ["dragenter", "dragleave", "dragover", "drop"]) {
    // Elsewhere a dropped picture is searched with.
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      event.stopPropagation();
      zone.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop") take([...event.dataTransfer.files]);
    });
  }
  return [make("h3", {}, "Add shoes"), field, zone, progress];
}

function reloader() {
  const result = make("p", { class: "fine", role: "status" });
  const button = make("button", { type: "button", class: "button", click: () => attempt(button, work) }, "Reload");
  async function work() {
    const workers = await reload();
    result.textContent = `${count(workers.length)} ${workers.length === 1 ? "worker serves" : "workers serve"} ${shoes(workers[0].shoes)} now.`;
  }
  return [make("h3", {}, "Serve what is on disk now"), make("p", { class: "buttons" }, button), result];
}

/** Show in a section what may be done with an admin key, or where to give one. */
export function showPanel(section) {
  const redraw = () => showPanel(section);
  const leave = () => {
    forgetKey();
    redraw();
  };
  const inside = isAdmin()
    ? [...uploader(), ...reloader(), make("p", {}, make("button", { type: "button", class: "link", click: leave }, "Forget the key"))]
    : keyForm(redraw);
  section.replaceChildren(make("h2", {}, "Administration"), ...inside);
}
