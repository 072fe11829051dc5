/** Drawing with mouse, pen or finger. */

const NEAREST = 0.002; // of the side: points nearer than that say nothing new

/** Lets pointers on `canvas` draw in `drawing`; a second finger is not a second pen. */
export function drawByPointer(canvas, drawing) {
  let pointer = null;
  let place = null;
  let last = null;

  const pointAt = (event) => ({
    x: (event.clientX - place.left) / place.width,
    y: (event.clientY - place.top) / place.height,
    weight: weightOf(event),
  });

  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;
    pointer = event.pointerId;
    place = canvas.getBoundingClientRect();
    canvas.setPointerCapture(pointer);
    last = pointAt(event);
    drawing.begin(last);
  });

  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    place = canvas.getBoundingClientRect(); // the page may have been scrolled
    const events = event.getCoalescedEvents?.() ?? [];
    const points = apart((events.length ? events : [event]).map(pointAt), last);
    last = points.at(-1) ?? last;
    drawing.extend(points);
  });

  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(kind, (event) => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      drawing.end();
    });
  }
}

/** Those of `points` that are not too near to the one before, the first to `last`. */
function apart(points, last) {
  return points.filter((point) => {
    const far = Math.hypot(point.x - last.x, point.y - last.y) >= NEAREST;
    if (far) last = point;
    return far;
  });
}

/** Only pens tell how hard they are pressed; a mouse always says a half. */
function weightOf(event) {
  return event.pointerType === "pen" && event.pressure > 0 ? 0.65 + 0.7 * event.pressure : 1;
}
