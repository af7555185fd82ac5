// Photos to try at once: three shoes of the catalogue, each laid on a coloured ground that is drawn here, turned a little.
//
// So every catalogue has its samples, and none of them is in it as it is.

import { getPicture, imageOf, listItems } from "../base/api.js";
import { byId, make } from "../base/dom.js";
import { boxOf } from "../photo/margin.js";

const SIDE = 360;

/** Ground colours, turn in degrees, and size of the shoe as a share of the photo. */
const SCENES = [
  { from: "#d9c7a8", to: "#b99d74", turn: -8, size: 0.72 },
  { from: "#b9cbd3", to: "#8ea8b4", turn: 6, size: 0.64 },
  { from: "#cfd3b4", to: "#a3ab84", turn: 11, size: 0.58 },
];

function ground(context, { from, to }) {
  const slope = context.createLinearGradient(0, 0, SIDE * 0.4, SIDE);
  slope.addColorStop(0, from);
  slope.addColorStop(1, to);
  context.fillStyle = slope;
  context.fillRect(0, 0, SIDE, SIDE);
  context.globalAlpha = 0.07;
  context.fillStyle = "#000000";
  for (let line = 0; line < SIDE; line += 18) context.fillRect(0, line, SIDE, 1 + ((line * 7) % 5));
  context.globalAlpha = 1;
}

async function compose(shoe, scene) {
  const bitmap = await createImageBitmap(await getPicture(imageOf(shoe)));
  const [left, top, across, down] = boxOf(bitmap) ?? [0, 0, bitmap.width, bitmap.height];
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext("2d");
  ground(context, scene);
  const scale = (scene.size * SIDE) / Math.max(across, down);
  const [width, height] = [across * scale, down * scale];
  context.translate(SIDE / 2, SIDE / 2);
  context.rotate((scene.turn * Math.PI) / 180);
  context.filter = "blur(7px)";
  context.fillStyle = "rgb(40 30 20 / 35%)";
  context.beginPath();
  context.ellipse(0, height / 2 - 6, width / 2.1, Math.max(6, height / 12), 0, 0, 2 * Math.PI);
  context.fill();
  context.filter = "none";
  context.imageSmoothingQuality = "high";
  context.globalCompositeOperation = "multiply"; // white becomes the ground
  context.drawImage(bitmap, left, top, across, down, -width / 2, -height / 2, width, height);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
  return new File([blob], "Sample photo", { type: blob.type });
}

/** Shoes that differ in what they are, as far as one page of the catalogue has such. */
function choose(items, [key]) {
  const kinds = new Map();
  for (const item of items) {
    const kind = item.attributes[key]?.[0] ?? item.id;
    if (!kinds.has(kind)) kinds.set(kind, item);
  }
  return [...kinds.values(), ...items.filter((item) => ![...kinds.values()].includes(item))].slice(0, SCENES.length);
}

/** Offer the samples, where this browser can draw them; `onPhoto(file)` is called with the one that is chosen. */
export async function offer(info, onPhoto) {
  const list = byId("sample-list");
  const entry = (photo, index) => {
    const picture = make("img", { alt: `Sample photo ${index + 1}`, src: URL.createObjectURL(photo), width: 96, height: 96 });
    return make("li", {}, make("button", { type: "button", class: "sample", click: () => onPhoto(photo) }, picture));
  };
  try {
    const { items } = await listItems({ limit: 24 });
    const shoes = choose(items, info.attributes);
    list.replaceChildren(...(await Promise.all(shoes.map((shoe, index) => compose(shoe, SCENES[index])))).map(entry));
  } catch {
    list.replaceChildren(); // they are a help only
  }
  byId("samples").hidden = list.children.length === 0;
}
