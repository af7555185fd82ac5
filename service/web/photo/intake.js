// Where photos come in: drop, paste, file picker, camera.

import { idOfImage } from "../base/api.js";
import * as dataUrl from "./dataurl.js";
import { byId } from "../base/dom.js";
import { parse } from "../base/route.js";

/** Whether this page's own thing is being dragged, such as one of its cards. */
let own = false;

function isTyping(event) {
  return event.target instanceof Element && event.target.closest("input, textarea") !== null;
}

/** The address that a link or a picture of another page was handed over with; null for other text. */
function addressIn(transfer) {
  const [, , source] = /<img\b[^>]*?\ssrc\s*=\s*(["'])(.*?)\1/is.exec(transfer.getData("text/html")) ?? [];
  const listed = transfer.getData("text/uri-list").split(/\r?\n/).find((line) => line && !line.startsWith("#"));
  const typed = transfer.getData("text/plain").trim();
  const isAddress = /^(?:https?|data|blob|file):\S+$/i.test(typed);
  const candidates = [source, listed, isAddress ? typed : null].filter(Boolean);
  return candidates.find((each) => dataUrl.toBlob(each) || shoeAt(each)) ?? candidates[0] ?? null;
}

/** The id of the shoe that an address of this service names: of its picture or of its place in the page. */
function shoeAt(address) {
  const [page, hash] = address.split("#");
  const route = hash && page === location.href.split("#")[0] ? parse(`#${hash}`) : {};
  return idOfImage(address) ?? route.item ?? route.id ?? null;
}

/** Hand over what a drop or a paste holds: a photo, a shoe of the catalogue, or the reason why it is neither. */
function take(transfer, { onPhoto, onShoe, onMiss }) {
  const files = Array.from(transfer.files);
  const file = files.find(({ type }) => type.startsWith("image/")) ?? files[0];
  if (file) return onPhoto(file);
  const address = addressIn(transfer);
  if (address === null) return onMiss("There is no picture in this.", "Drop or paste a photo, or choose one.");
  const picture = dataUrl.toBlob(address);
  if (picture) return onPhoto(picture);
  const id = shoeAt(address);
  if (id) return onShoe(id);
  return onMiss(
    "This is the address of a picture or page, not a picture.",
    "Nothing is fetched from other sites. Save the picture or copy it (“Copy image”), then drop or paste it here.",
  );
}

function listenToPickers(onPhoto) {
  for (const button of document.querySelectorAll("[data-pick]")) {
    const input = byId(button.dataset.pick);
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      input.click();
    });
  }
  for (const input of [byId("file"), byId("camera")]) {
    input.addEventListener("change", () => {
      const [photo] = input.files;
      if (photo) onPhoto(photo);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  byId("drop").addEventListener("click", () => byId("file").click());
}

/** A drop that the page does not take makes the browser leave it: none but those into text fields is left alone. */
function listenToDrops(receivers) {
  const overlay = byId("overlay");
  // dragenter and dragleave fire for every element passed over; the depth tells when the window itself is left.
  let depth = 0;
  const settle = (value) => {
    depth = Math.max(0, value);
    overlay.hidden = depth === 0;
  };
  window.addEventListener("dragstart", () => {
    own = true;
  });
  // A thing that vanishes while it is dragged ends without a word; the next press tells.
  for (const over of ["dragend", "pointerdown"]) {
    window.addEventListener(over, () => {
      own = false;
    });
  }
  window.addEventListener("dragenter", (event) => {
    if (own || isTyping(event)) return;
    event.preventDefault();
    settle(depth + 1);
  });
  window.addEventListener("dragleave", () => settle(depth - 1));
  window.addEventListener("dragover", (event) => {
    if (isTyping(event)) return;
    event.preventDefault();
    const { effectAllowed } = event.dataTransfer;
    // A link may allow no copy, and an effect that is not allowed makes the drop never arrive.
    const effect = /copy|all|uninitialized/i.test(effectAllowed) ? "copy" : /link/i.test(effectAllowed) ? "link" : "move";
    event.dataTransfer.dropEffect = own ? "none" : effect;
  });
  window.addEventListener("drop", (event) => {
    settle(0);
    if (isTyping(event)) return;
    event.preventDefault();
    if (!own) take(event.dataTransfer, receivers);
  });
}

/**
 * Listen to all the ways in which photos come.
 *
 * `onPhoto(blob)` is called for each photo, `onShoe(id)` for a shoe of this service in its place, and
 * `onMiss(title, text)` where something else was handed over.
 */
export function listen(receivers) {
  listenToPickers(receivers.onPhoto);
  listenToDrops(receivers);
  window.addEventListener("paste", (event) => {
    const { clipboardData } = event;
    if (!clipboardData?.types.length || isTyping(event)) return;
    event.preventDefault();
    take(clipboardData, receivers);
  });
}
