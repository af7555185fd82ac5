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
