// The API key, where the service asks for one: kept for this tab only, and forgotten with it.

import { byId } from "./dom.js";

const NAME = "solemate.key";

export const MALFORMED = "A key is made of letters, digits and signs, without spaces.";

/** A browser sends nothing else in a header, and no key has anything else in it. */
export const isKey = (text) => /^[!-~]+$/.test(text);

const dialog = byId("key");
const input = byId("key-input");
const problem = byId("key-problem");

let answering = null; // the question on the screen: a promise of whether it was answered

/** The key to use, or null where none was asked for yet. */
export function currentKey() {
  return sessionStorage.getItem(NAME);
}

/** The headers that show a key to the service. */
export function headersOf(key) {
  return key === null ? {} : { Authorization: `Bearer ${key}` };
}

/** Use a key in this tab; null for none. */
export function useKey(key) {
  if (key === null) sessionStorage.removeItem(NAME);
  else sessionStorage.setItem(NAME, key);
}

function ask() {
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
    input.value = "";
    dialog.returnValue = "";
    dialog.showModal();
  });
}

/** Ask for another key than `refused`, unless there is one by now; false if the person would rather not say. */
export async function renewKey(refused) {
  if (currentKey() !== refused) return true;
  if (!answering) {
    problem.textContent = refused === null ? "" : "The service does not know this key.";
    useKey(null);
    answering = ask().finally(() => {
      answering = null;
    });
  }
  return answering;
}

function take() {
  const key = input.value.trim();
  if (!isKey(key)) {
    problem.textContent = MALFORMED;
    input.focus();
    return;
  }
  useKey(key);
  dialog.close("given");
}

byId("key-use").addEventListener("click", take);
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter") take();
});
