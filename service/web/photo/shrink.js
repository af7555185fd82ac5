// Photos made small before they are sent: a phone's photo of 4 MB takes long to upload, and the network sees few of its
// pixels.

/** Longest side of what is sent, in pixels. A shoe that fills a quarter of it is still as large as the network sees. */
const LONGEST = 1024;

/** Longest side of what is sent, in sides of the pictures that the network sees: it is scaled down once more there. */
const SIDES = 8;

const QUALITY = 0.9;

/** Bytes of a file that is sent as it is, if the service takes its format and it is not too large. */
const SMALL_BYTES = 300 * 1024;

/** Some browsers answer noise to pages that read a canvas, so that nobody is recognised by it. */
function isReadable(context) {
  const colour = [40, 120, 200];
  context.fillStyle = `rgb(${colour})`;
  context.fillRect(0, 0, 1, 1);
  const { data } = context.getImageData(0, 0, 1, 1);
  return colour.every((value, index) => Math.abs(value - data[index]) < 8);
}

async function redraw(bitmap, width, height) {
  const small = await createImageBitmap(bitmap, { resizeWidth: width, resizeHeight: height, resizeQuality: "high" });
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!isReadable(context)) return null;
  // JPEG has no transparency. The service puts transparent pictures on white, too.
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(small, 0, 0);
  small.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

/**
 * A photo as a blob that is quick to send: upright, in sRGB, at most LONGEST pixels a side.
 *
 * What the browser can't decode, and what is small already, is left as it is. `formats` are those that the service
 * takes, such as "JPEG"; `side` is that of the pictures which the network sees.
 */
export async function shrink(photo, { formats, side }) {
  let bitmap = null;
  try {
    bitmap = await createImageBitmap(photo);
    const longest = Math.max(LONGEST, SIDES * side);
    const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
    const taken = formats.some((format) => photo.type === `image/${format.toLowerCase()}`);
    if (scale === 1 && taken && photo.size <= SMALL_BYTES) return photo;
    const [width, height] = [bitmap.width, bitmap.height].map((each) => Math.max(1, Math.round(each * scale)));
    const small = await redraw(bitmap, width, height);
    return small && (small.size < photo.size || !taken) ? small : photo;
  } catch {
    return photo;
  } finally {
    bitmap?.close();
  }
}
