/** The canvas that shows the drawing, as sharp as the screen is. */

import { pixelsAsInk } from "./pixels.js";
import { drawStrokes } from "./strokes.js";

export class Surface {
  #due = false;

  constructor(canvas, drawing) {
    this.canvas = canvas;
    this.drawing = drawing;
    this.context = canvas.getContext("2d");
    new ResizeObserver(() => this.show()).observe(canvas);
    addEventListener("resize", () => this.show()); // another zoom has another pixel ratio
  }

  /** Draws what there is, once per frame however often it is called. */
  show() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#draw();
    });
  }

  #draw() {
    const side = Math.round(this.canvas.clientWidth * devicePixelRatio);
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    this.context.clearRect(0, 0, side, side);
    const ink = getComputedStyle(this.canvas).color;
    const subject = this.drawing.now;
    if (subject.kind === "picture") this.#fit(subject.bitmap, side);
    else if (subject.kind === "example") this.#fit(pixelsAsInk(subject.pixels, ink), side, false);
    else {
      this.context.strokeStyle = ink;
      drawStrokes(this.context, subject.strokes, side);
    }
  }

  /** A picture as large as it fits; one that the browser cannot show leaves its place empty. */
  #fit(picture, side, smooth = true) {
    if (!picture) return;
    const scale = side / Math.max(picture.width, picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    this.context.imageSmoothingEnabled = smooth;
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(picture, (side - width) / 2, (side - height) / 2, width, height);
  }
}
