// Where photos come in: drop, paste, file picker, camera.

import { byId } from "./dom.js";

function carriesFiles(event) {
  return Array.from(event.dataTransfer?.types ?? []).includes("Files");
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

function listenToDrops(onPhoto) {
  const overlay = byId("overlay");
  // dragenter and dragleave fire for every element passed over; the depth tells when the window itself is left.
  let depth = 0;
  const settle = (value) => {
    depth = Math.max(0, value);
    overlay.hidden = depth === 0;
  };
  window.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    settle(depth + 1);
  });
  window.addEventListener("dragleave", (event) => {
    if (carriesFiles(event)) settle(depth - 1);
  });
  window.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  window.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    settle(0);
    const [photo] = event.dataTransfer.files;
    if (photo) onPhoto(photo);
  });
}

/** Call `onPhoto(file)` for each photo handed to the page, by whatever way. */
export function listen(onPhoto) {
  listenToPickers(onPhoto);
  listenToDrops(onPhoto);
  window.addEventListener("paste", (event) => {
    const [photo] = event.clipboardData?.files ?? [];
    if (!photo) return;
    event.preventDefault();
    onPhoto(photo);
  });
}
