/** What has to be said about a request: a refusal, or that the server is being waited for. */

/** A sentence of the server's about what it was given; `lasting` ones stay until something else is done. */
export class Refusal {
  #lasting = false;

  constructor(element) {
    this.element = element;
  }

  tell(sentence, lasting) {
    this.#lasting = lasting;
    if (this.element.textContent !== sentence) this.element.textContent = sentence; // or it would be said again
    this.element.hidden = false;
  }

  /** While a drawing is gone on with: what was said about a picture is over, what was said about the drawing may still hold. */
  goneOn() {
    if (this.#lasting) this.over();
  }

  /** After a success, which mends what was not lasting. */
  mended() {
    if (!this.#lasting) this.over();
  }

  over() {
    this.element.hidden = true;
    this.element.textContent = "";
  }
}

/** One calm line however many requests are waiting. */
export class Trouble {
  #waiting = new Map();

  constructor(element) {
    this.element = element;
  }

  tell(who, sentence) {
    this.#waiting.set(who, sentence);
    this.#show();
  }

  over(who) {
    this.#waiting.delete(who);
    this.#show();
  }

  #show() {
    const [sentence] = this.#waiting.values();
    const text = sentence ? `${sentence} Your drawing is kept; trying again.` : "";
    if (this.element.textContent !== text) this.element.textContent = text;
    this.element.hidden = !text;
  }
}
