// Where the shoe is in a catalogue picture: it is all that is not white margin.

/** Least channel of a pixel of the margin. */
const WHITE = 240;

/** Share of a row or column below which pixels beside the margin are dust. */
const SPECK = 0.02;

/** Of a picture's pixels, those of its white margin: near white, and joined to the picture's edge. */
function marginOf({ data, width, height }) {
  const white = (at) => Math.min(data[4 * at], data[4 * at + 1], data[4 * at + 2]) > WHITE;
  const margin = new Uint8Array(width * height);
  const todo = [];
  const visit = (x, y) => {
    const at = y * width + x;
    if (x < 0 || y < 0 || x >= width || y >= height || margin[at] || !white(at)) return;
    margin[at] = 1;
    todo.push(x, y);
  };
  for (let x = 0; x < width; x += 1) for (const y of [0, height - 1]) visit(x, y);
  for (let y = 0; y < height; y += 1) for (const x of [0, width - 1]) visit(x, y);
  while (todo.length) {
    const [y, x] = [todo.pop(), todo.pop()];
    visit(x + 1, y);
    visit(x - 1, y);
    visit(x, y + 1);
    visit(x, y - 1);
  }
  return margin;
}

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
  const [columns, rows] = [new Uint32Array(width), new Uint32Array(height)];
  marginOf(context.getImageData(0, 0, width, height)).forEach((isMargin, at) => {
    if (isMargin) return;
    columns[at % width] += 1;
    rows[Math.floor(at / width)] += 1;
  });
  const [across, down] = [extent(columns, height), extent(rows, width)];
  if (!across || !down || (across[1] - across[0] === width && down[1] - down[0] === height)) return null;
  return [across[0], down[0], across[1] - across[0], down[1] - down[0]];
}
