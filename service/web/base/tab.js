// What this tab keeps over a reload: texts by name, in sessionStorage. New ones take the room of the oldest.

const PREFIX = "solemate.kept.";

let counter = 0;

/** A name that nothing else in this tab has: the time keeps names apart across reloads, where the history outlives the page. */
export function newName() {
  counter += 1;
  return `${Date.now().toString(36)}-${counter}`;
}

/** Keep a text; one that has no room even alone is not kept. */
export function keep(name, text) {
  for (;;) {
    try {
      sessionStorage.setItem(PREFIX + name, text);
      return;
    } catch {
      // The oldest first: names begin with the time, in digits of equal number.
      const keys = Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX)).sort();
      const oldest = keys.find((key) => key !== PREFIX + name);
      if (!oldest) return;
      sessionStorage.removeItem(oldest);
    }
  }
}

/** The text of a name; null if it is not kept any more. */
export function kept(name) {
  return sessionStorage.getItem(PREFIX + name);
}
