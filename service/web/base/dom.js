// Small helpers to make elements. Data only ever becomes text nodes and attributes, never markup.

/** The element with this id; the page's fixed parts are all in index.html. */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * Make an element.
 *
 * `attributes` maps names to values: `true` sets an empty attribute, `false`, `null` and `undefined` none, and a
 * function listens to the event of that name. Children are elements or text.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** True for a click that should stay in this tab: no modifier key and the main button. */
export function isPlainClick(event) {
  return event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
}

/** Make an element of a drawing; every attribute is set as it is. */
export function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** One of the icons that index.html defines, such as "like"; it is decoration, beside or within what has a name. */
export function icon(name) {
  return draw("svg", { class: "icon", "aria-hidden": "true" }, draw("use", { href: `#i-${name}` }));
}

/** A link within the page: a plain click goes to `route` without loading anything. */
export function link({ href, go, ...attributes }, ...children) {
  const element = make("a", { href, ...attributes }, ...children);
  element.addEventListener("click", (event) => {
    if (!isPlainClick(event)) return;
    event.preventDefault();
    go();
  });
  return element;
}

/** Set a custom property that a style sheet reads: the page's policy allows no style attributes. */
export function vary(element, name, value) {
  element.style.setProperty(`--${name}`, value);
  return element;
}

const sheets = new Map();

/** Load a style sheet once; the promise of it. */
export function loadSheet(href) {
  if (!sheets.has(href)) {
    const loading = new Promise((resolve, reject) => {
      document.head.append(make("link", { rel: "stylesheet", href, load: resolve, error: reject }));
    });
    loading.catch(() => sheets.delete(href));
    sheets.set(href, loading);
  }
  return sheets.get(href);
}
