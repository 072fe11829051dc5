/** What is on the stage, and what was there before: a drawing, a picture that was given, or an example of the test set. */

const EMPTY = Object.freeze({ kind: "drawing", strokes: Object.freeze([]) });
const REMEMBERED = 500; // states that undo can go back to

/**
 * Subjects are never changed, only followed by others, so undo is going back. Every change is an event "change" whose
 * detail is what made it: "stroke", "subject", "undo", "clear" or "refusal".
 */
export class Drawing extends EventTarget {
  #past = [EMPTY];
  #live = null;

  /** The subject with the stroke that is being drawn: {kind: "drawing", strokes}, or what `put` was given. */
  get now() {
    return this.#live ? { kind: "drawing", strokes: [...this.#strokes, this.#live] } : this.#past.at(-1);
  }

  get isEmpty() {
    return this.now.strokes?.length === 0;
  }

  get isDrawing() {
    return this.#live !== null;
  }

  get canUndo() {
    return this.isDrawing || this.#past.length > 1;
  }

  begin(point) {
    this.end();
    this.#live = [point];
    this.#changed("stroke");
  }

  extend(points) {
    if (!this.#live || points.length === 0) return;
    this.#live = [...this.#live, ...points];
    this.#changed("stroke");
  }

  end() {
    if (!this.#live) return;
    const drawn = this.now;
    this.#live = null;
    this.#push(drawn, "stroke");
  }

  /** Shows something else than a drawing; the next stroke begins a new one. */
  put(subject) {
    this.end();
    this.#push(subject, "subject");
  }

  /** Takes back a subject that was refused, if it is still there. */
  withdraw(subject) {
    if (this.#live || this.#past.at(-1) !== subject) return;
    this.#past.pop();
    this.#changed("refusal");
  }

  undo() {
    if (!this.canUndo) return;
    if (this.#live) this.#live = null;
    else this.#past.pop();
    this.#changed("undo");
  }

  clear() {
    if (this.isEmpty) return;
    this.end();
    this.#push(EMPTY, "clear");
  }

  get #strokes() {
    return this.#past.at(-1).strokes ?? [];
  }

  #push(subject, by) {
    this.#past.push(subject);
    if (this.#past.length > REMEMBERED) this.#past.shift();
    this.#changed(by);
  }

  #changed(by) {
    this.dispatchEvent(new CustomEvent("change", { detail: by }));
  }
}
