/** What a screen reader says, after things have settled: not every point of a stroke is news. */

export class Announcer {
  #timer = null;

  constructor(region, settled = 900) {
    this.region = region;
    this.settled = settled;
  }

  /** Says `text` unless something newer comes within `after` ms. */
  say(text, after = this.settled) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.region.textContent !== text) this.region.textContent = text;
    }, after);
  }

  /** Says nothing of what was still waiting. */
  hush() {
    clearTimeout(this.#timer);
    this.region.textContent = "";
  }
}
