/** Drawing by keys: arrows move a pen over 28 × 28 steps, space puts it down and lifts it. */

const STEPS = 28;
const FAR = 4; // steps with Shift
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class KeyboardPen {
  #column = STEPS / 2;
  #row = STEPS / 2;
  #held = new Set();

  /** `cursor` is the element that shows where the pen is; `announcer` tells it. */
  constructor(canvas, cursor, drawing, announcer) {
    Object.assign(this, { canvas, cursor, drawing, announcer });
    canvas.addEventListener("keydown", (event) => this.#press(event));
    canvas.addEventListener("keyup", (event) => this.#held.delete(event.key));
    canvas.addEventListener("focus", () => this.#show(canvas.matches(":focus-visible")));
    canvas.addEventListener("pointerdown", () => this.#show(false));
    canvas.addEventListener("blur", () => this.#leave());
    drawing.addEventListener("change", () => cursor.classList.toggle("down", drawing.isDrawing));
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in ARROWS) {
      this.#held.add(event.key);
      this.#move(event.shiftKey ? FAR : 1);
    } else if (event.key === " ") {
      if (!event.repeat) this.#toggle();
    } else return;
    event.preventDefault();
    this.#show(true);
  }

  /** Arrows that are held together move aslant, whichever of them repeats. */
  #move(steps) {
    for (const key of this.#held) {
      this.#column = within(this.#column + steps * ARROWS[key][0]);
      this.#row = within(this.#row + steps * ARROWS[key][1]);
    }
    if (this.drawing.isDrawing) this.drawing.extend([this.#point]);
    this.announcer.say(`${this.drawing.isDrawing ? "Drawn to" : "At"} ${this.#where}`);
  }

  #toggle() {
    if (this.drawing.isDrawing) this.drawing.end();
    else this.drawing.begin(this.#point);
    this.announcer.say(`Pen ${this.drawing.isDrawing ? "down" : "up"} at ${this.#where}`, 0);
  }

  get #point() {
    return { x: this.#column / STEPS, y: this.#row / STEPS, weight: 1 };
  }

  get #where() {
    return `column ${this.#column}, row ${this.#row} of ${STEPS}`;
  }

  #show(shown) {
    this.cursor.hidden = !shown;
    this.cursor.style.left = `${(100 * this.#column) / STEPS}%`;
    this.cursor.style.top = `${(100 * this.#row) / STEPS}%`;
  }

  #leave() {
    this.#held.clear();
    this.drawing.end();
    this.#show(false);
  }
}

const within = (place) => Math.min(STEPS - 1, Math.max(1, place));
