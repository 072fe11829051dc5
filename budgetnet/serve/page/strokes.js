/** Strokes: lists of points {x, y, weight} in units of the drawing's side; how they are drawn, and how they are sent. */

export const WIDTH = 2.4 / 28; // of the side; what MNIST's pens left behind
const SENT = 112; // pixels of the picture that is sent: four for each that the network sees
const LONGEST = 80; // of them for the digit's longer side, so that it stands free
const SLENDER = 0.14; // the widest stroke, as a part of the digit's longer side: a small digit is drawn with a finer pen
const FINEST = 0.02;

/** Draws `strokes` at `scale` pixels per side; `width` is that of a stroke of weight 1, in sides. */
export function drawStrokes(context, strokes, scale, width = WIDTH) {
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const points of strokes) drawStroke(context, points, scale, width);
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

/** The drawing as a PNG, black on white, its digit filling the picture wherever and however small it was drawn. */
export function strokesAsPicture(strokes) {
  const points = strokes.flat();
  const [left, right] = range(points.map((point) => point.x));
  const [top, bottom] = range(points.map((point) => point.y));
  const longest = Math.max(right - left, bottom - top);
  const width = Math.max(FINEST, Math.min(WIDTH, SLENDER * longest));
  const scale = LONGEST / (longest + width);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SENT;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, SENT, SENT);
  context.translate(SENT / 2 - (scale * (left + right)) / 2, SENT / 2 - (scale * (top + bottom)) / 2);
  drawStrokes(context, strokes, scale, width);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** Not Math.min(...values): a long scribble has more points than a call has arguments. */
function range(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}
