// How a photo is looked at: a view is {box, rotate, whole}.
//
// `rotate` turns the photo, in degrees counter-clockwise. `box` is [left, top, width, height] in fractions of the turned
// photo, or null, where the service finds the shoe itself; `whole` takes all of the photo for the shoe.

export const AUTO = { box: null, rotate: 0, whole: false };
export const WHOLE = [0, 0, 1, 1];

/** Least width and height of a box, in pixels: the service refuses fewer than 8 of the picture as it decodes it. */
const LEAST_PIXELS = 10;

/** Least width and height of a box as a share of the photo. */
const LEAST_SHARE = 0.05;

const round = (number) => Math.round(number * 10_000) / 10_000;
const within = (number, low, high) => Math.min(high, Math.max(low, number));

/** A name for a view among those of one photo. */
export function keyOf({ box, rotate, whole }) {
  return JSON.stringify([box, rotate, whole]);
}

/** Whether nobody has said anything: the service finds the shoe in the photo as it is. */
export function isAuto(view) {
  return keyOf(view) === keyOf(AUTO);
}

/** Degrees as the service takes them: in (-180, 180]. */
export function degrees(number) {
  const turned = Math.round(number) % 360;
  return turned > 180 ? turned - 360 : turned <= -180 ? turned + 360 : turned;
}

/** {width, height} of a photo once it is turned. */
export function turnedSize({ width, height }, rotate) {
  const angle = (rotate * Math.PI) / 180;
  const [cosine, sine] = [Math.abs(Math.cos(angle)), Math.abs(Math.sin(angle))];
  return { width: width * cosine + height * sine, height: width * sine + height * cosine };
}

/** A box within the photo, and large enough; `size` is that of the turned photo, in pixels. */
export function fit([left, top, width, height], size) {
  const [wide, high] = [
    [width, size.width],
    [height, size.height],
  ].map(([share, pixels]) => within(share, Math.min(1, Math.max(LEAST_SHARE, LEAST_PIXELS / pixels)), 1));
  // The far edges are rounded, and not the sizes: the sum must not be more than 1.
  const [x, y] = [round(within(left, 0, 1 - wide)), round(within(top, 0, 1 - high))];
  return [x, y, round(Math.min(1, x + wide) - x), round(Math.min(1, y + high) - y)];
}

/** Where a point relative to the middle lies once the photo is turned; y grows downwards. */
function turn([x, y], rotate) {
  const angle = (rotate * Math.PI) / 180;
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  return [x * cosine + y * sine, y * cosine - x * sine];
}

/** A box as it is after the photo was turned from `from` to `to`: about the same point, a quarter turn laid on its side. */
export function turnBox([left, top, width, height], from, to, size) {
  const [before, after] = [turnedSize(size, from), turnedSize(size, to)];
  const middle = [(left + width / 2 - 0.5) * before.width, (top + height / 2 - 0.5) * before.height];
  const [x, y] = turn(middle, to - from);
  let [wide, high] = [width * before.width, height * before.height];
  if (Math.abs(to - from) % 180 === 90) [wide, high] = [high, wide];
  [wide, high] = [wide / after.width, high / after.height];
  return fit([x / after.width + 0.5 - wide / 2, y / after.height + 0.5 - high / 2, wide, high], after);
}

/** The smallest part of the upright photo that holds a box on the turned one; the service turns after it crops. */
function cropOf([left, top, width, height], rotate, size) {
  const turned = turnedSize(size, rotate);
  const corners = [left, left + width].flatMap((x) =>
    [top, top + height].map((y) => turn([(x - 0.5) * turned.width, (y - 0.5) * turned.height], -rotate)),
  );
  const edges = (axis, length) => {
    const along = corners.map((corner) => within(corner[axis] / length + 0.5, 0, 1));
    return [round(Math.min(...along)), round(Math.max(...along))];
  };
  const [[west, east], [north, south]] = [edges(0, size.width), edges(1, size.height)];
  return [west, north, round(east - west), round(south - north)];
}

/** A view as options of the service; `size` is that of the upright photo. */
export function optionsOf({ box, rotate, whole }, size) {
  return {
    ...(box ? { crop: cropOf(box, rotate, size).join(",") } : {}),
    ...(rotate ? { rotate } : {}),
    ...(whole ? { subject: "whole" } : {}),
  };
}

/** A view from the parameters of an address; what makes no sense there counts as not said. */
export function parse(parameters) {
  const box = (parameters.get("box") ?? "").split(",").map(Number);
  const [left, top, width, height] = box;
  const isBox = box.length === 4 && Math.min(left, top) >= 0 && Math.min(width, height) > 0;
  const isInside = Math.max(left + width, top + height) <= 1;
  const rotate = Number(parameters.get("rotate") ?? 0);
  return {
    box: isBox && isInside ? box : null,
    rotate: Number.isFinite(rotate) ? degrees(rotate) : 0,
    whole: parameters.get("subject") === "whole",
  };
}

/** A view as parameters of an address. */
export function parametersOf({ box, rotate, whole }) {
  return {
    ...(box ? { box: box.join(",") } : {}),
    ...(rotate ? { rotate } : {}),
    ...(whole ? { subject: "whole" } : {}),
  };
}
