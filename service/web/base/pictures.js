// Pictures of the service, in <img> elements.

import { getPicture } from "./api.js";
import { currentKey } from "./key.js";

const addresses = new WeakMap();

// What "lazy" is to a browser's own loading.
const nearby = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      nearby.unobserve(target);
      fetchInto(target);
    }
  },
  { rootMargin: "50%" },
);

async function fetchInto(image) {
  try {
    const address = URL.createObjectURL(await getPicture(addresses.get(image)));
    const forget = () => URL.revokeObjectURL(address);
    image.addEventListener("load", forget, { once: true });
    image.addEventListener("error", forget, { once: true });
    image.src = address;
  } catch {
    image.dispatchEvent(new Event("error"));
  }
}

/** Let an image show what is at an address. With a key it is fetched: a browser shows none for the pictures of a page. */
export function load(image, address) {
  if (currentKey() === null || address.startsWith("blob:")) {
    image.src = address;
    return;
  }
  addresses.set(image, address);
  if (image.loading === "lazy") nearby.observe(image);
  else fetchInto(image);
}
