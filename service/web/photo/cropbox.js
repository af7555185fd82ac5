// The box that is dragged and resized on a photo: Cropper.js, which is vendored, with keys added to it. search.css has its styles.

/** Least width and height of the box on the screen, in CSS pixels: what a finger can still hold. */
const LEAST = 24;

/** How far an arrow key moves or resizes the box, as a share of the photo. */
const STEP = 0.02;

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Lay a box on an image that is shown in an element of its own, until `signal` takes it away; returns {place}.
 *
 * `place(box, rotate)` puts it somewhere, as a view has it (view.js). `onStart()` is called when a drag begins, and
 * `onChange(box)` when it has ended or a key has moved the box.
 */
export async function open(image, { label, describedBy, signal, onStart, onChange }) {
  await import("../vendor/cropper.min.js");
  signal.throwIfAborted();
  const cropper = await new Promise((resolve, reject) => {
    const made = new window.Cropper(image, {
      viewMode: 1, // the box stays on the photo
      autoCropArea: 1,
      background: false,
      center: false,
      checkCrossOrigin: false,
      checkOrientation: false, // would fetch the photo, which the browser shows upright by itself
      guides: false,
      minCropBoxHeight: LEAST,
      minCropBoxWidth: LEAST,
      scalable: false,
      toggleDragModeOnDblclick: false,
      zoomable: false,
      ready: () => resolve(made),
      cropstart: onStart,
      cropend: () => onChange(boxOf(made)),
    });
    signal.addEventListener("abort", () => {
      made.destroy();
      reject(signal.reason);
    });
  });
  const handle = cropper.cropBox;
  const copy = cropper.viewBoxImage;
  copy.alt = ""; // the photo itself is named once
  for (const [name, value] of Object.entries({
    tabindex: 0,
    role: "application", // screen readers leave the arrow keys to it
    "aria-label": label,
    "aria-describedby": describedBy,
  })) {
    handle.setAttribute(name, value);
  }
  handle.addEventListener("keydown", (event) => {
    const [across, down] = ARROWS[event.key] ?? [];
    if (across === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [left, top, width, height] = boxOf(cropper);
    const [x, y] = [across * STEP, down * STEP];
    const inside = (start, length, most) => Math.min(Math.max(0, start), most - length);
    const moved = [inside(left + x, width, 1), inside(top + y, height, 1), width, height];
    const resized = [left, top, Math.min(width + x, 1 - left), Math.min(height + y, 1 - top)];
    put(cropper, event.shiftKey ? resized : moved);
    onChange(boxOf(cropper));
  });
  return {
    place: (box, rotate) => {
      turn(cropper, rotate);
      put(cropper, box);
    },
  };
}

function boxOf(cropper) {
  const { x, y, width, height } = cropper.getData();
  const { naturalWidth, naturalHeight } = cropper.getCanvasData();
  return [x / naturalWidth, y / naturalHeight, width / naturalWidth, height / naturalHeight];
}

function put(cropper, [left, top, width, height]) {
  const { naturalWidth, naturalHeight } = cropper.getCanvasData();
  cropper.setData({
    x: left * naturalWidth,
    y: top * naturalHeight,
    width: width * naturalWidth,
    height: height * naturalHeight,
  });
}

/** Turn the photo, and fit it into its element again. */
function turn(cropper, rotate) {
  const turned = cropper.getImageData().rotate ?? 0;
  if ((turned + rotate) % 360 === 0) return;
  cropper.clear(); // the photo can't be made smaller than its box
  cropper.rotateTo(-rotate);
  const { naturalWidth, naturalHeight } = cropper.getCanvasData();
  const frame = cropper.getContainerData();
  const scale = Math.min(frame.width / naturalWidth, frame.height / naturalHeight);
  const [width, height] = [naturalWidth * scale, naturalHeight * scale];
  cropper.setCanvasData({ width });
  cropper.setCanvasData({ left: (frame.width - width) / 2, top: (frame.height - height) / 2 });
  cropper.crop();
}
