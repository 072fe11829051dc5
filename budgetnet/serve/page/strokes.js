/** Strokes: lists of points {x, y, weight} in units of the drawing's side; how they are drawn, and how they are sent. */

export const WIDTH = 2.4 / 28; // of the side; what MNIST's pens left behind
const SENT = 112; // pixels of the picture that is sent: four for each that the network sees
const LONGEST = 80; // of them for the digit's longer side, so that it stands free
const SLENDER = 0.14; // the widest stroke, as a part of the digit's longer side: a small digit is drawn with a finer pen
const FINEST = 0.02;
const SMALLEST = 6; // pixels of a digit's longer side: the server's limit, applied before the drawing is magnified
const DARK = 128; // the lightest grey that counts as ink; the server accepts lighter ink

/** A drawing with too little ink to be sent: blank, which the server refuses, or a dot, which is no digit. */
export class TooLittleInk extends Error {
  constructor() {
    super("There is too little ink to read a digit: draw a larger one.");
  }
}

/** Draws `strokes` at `scale` pixels per side; `width` is that of a stroke of weight 1, in sides. */
export function drawStrokes(context, strokes, scale, width = WIDTH) {
  context.lineCap = "round";
  context.lineJoin = "round";
  context.fillStyle = context.strokeStyle;
  for (const points of strokes) {
    drawDot(context, points[0], scale, width);
    drawStroke(context, points, scale, width);
  }
}

/** Draws where the pen is put down: a path without length leaves no ink in some browsers. */
function drawDot(context, point, scale, width) {
  context.beginPath();
  context.arc(point.x * scale, point.y * scale, (width * scale * point.weight) / 2, 0, 2 * Math.PI);
  context.fill();
}

/** Through the middles of neighbouring points, which is smooth wherever the hand was. */
function drawStroke(context, points, scale, width) {
  let from = points[0];
  for (const [at, point] of points.entries()) {
    const to = at === points.length - 1 ? point : middle(point, points[at + 1]);
    context.lineWidth = width * scale * point.weight;
    context.beginPath();
    context.moveTo(from.x * scale, from.y * scale);
    context.quadraticCurveTo(point.x * scale, point.y * scale, to.x * scale, to.y * scale);
    context.stroke();
    from = to;
  }
}

const middle = (a, b) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });

/**
 * Return the drawing as a PNG, black on white, its digit filling the picture wherever and however small it was drawn.
 * Throws TooLittleInk.
 */
export async function strokesAsPicture(strokes) {
  const points = strokes.flat();
  const [left, right] = range(points.map((point) => point.x));
  const [top, bottom] = range(points.map((point) => point.y));
  const longest = Math.max(right - left, bottom - top);
  const width = Math.max(FINEST, Math.min(WIDTH, SLENDER * longest));
  const scale = LONGEST / (longest + width);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SENT;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, SENT, SENT);
  context.translate(SENT / 2 - (scale * (left + right)) / 2, SENT / 2 - (scale * (top + bottom)) / 2);
  drawStrokes(context, strokes, scale, width);
  if (inkExtent(context) * (SENT / scale) < SMALLEST) throw new TooLittleInk();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** Return the longer side of the ink in pixels, 0 for none. It is measured: browsers differ in what they draw. */
function inkExtent(context) {
  const { data } = context.getImageData(0, 0, SENT, SENT);
  const places = [];
  for (let at = 0; at < SENT * SENT; at++) if (data[4 * at] < DARK) places.push(at);
  if (places.length === 0) return 0;
  const [top, bottom] = range(places.map((at) => Math.floor(at / SENT)));
  const [left, right] = range(places.map((at) => at % SENT));
  return Math.max(right - left, bottom - top) + 1;
}

/** Not Math.min(...values): a long scribble has more points than a call has arguments. */
function range(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}
