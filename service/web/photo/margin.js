// Where the shoe is in a catalogue picture: it is all that is not white.

/** Least channel of a pixel of the margin. */
const WHITE = 240;

/** Share of a row or column up to which pixels that are not white are dust. */
const SPECK = 0.02;

/** First and last of the lines that hold more than dust, as [start, stop]; null if none does. */
function extent(counts, length) {
  const held = Array.from(counts.keys()).filter((index) => counts[index] > Math.max(1, SPECK * length));
  return held.length ? [held[0], held.at(-1) + 1] : null;
}

/** Around the shoe in a bitmap: [left, top, width, height] in pixels; null if it has no white margin. */
export function boxOf(bitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const [columns, rows] = [new Uint32Array(width), new Uint32Array(height)];
  for (let at = 0; at < width * height; at += 1) {
    if (Math.min(data[4 * at], data[4 * at + 1], data[4 * at + 2]) > WHITE) continue;
    columns[at % width] += 1;
    rows[Math.floor(at / width)] += 1;
  }
  const [across, down] = [extent(columns, height), extent(rows, width)];
  if (!across || !down || (across[1] - across[0] === width && down[1] - down[0] === height)) return null;
  return [across[0], down[0], across[1] - across[0], down[1] - down[0]];
}
