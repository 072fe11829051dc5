/** One model's requests: one at a time, the newest picture wins, and the last one is always predicted. */

import { predict } from "./api.js";
import { pause } from "./patience.js";

const APART = 40; // ms between two requests at least: faster than that nobody reads
const LATE = 800; // ms without an answer, after which the one before is no longer left standing beside a drawing that is not its own

export class Lane {
  #wanted = null;
  #running = false;

  /** `onAnswer(subject, answer, trip)` with the round trip in ms; `onRefusal(subject, error)`; `onBusy(whether)`; `onLate()`. */
  constructor(model, patience, { onAnswer, onRefusal, onBusy, onLate }) {
    Object.assign(this, { model, patience, onAnswer, onRefusal, onBusy, onLate });
  }

  /** Wants `subject` predicted; null takes back what was wanted before. */
  ask(subject) {
    this.#want(subject);
    if (!this.#running) this.#run();
  }

  async #run() {
    this.#running = true;
    while (this.#wanted) {
      const began = performance.now();
      await this.#once();
      await pause(APART - (performance.now() - began));
    }
    this.#running = false;
  }

  async #once() {
    let sent, began;
    const late = setTimeout(() => this.#wanted && this.onLate(), LATE);
    try {
      const answer = await this.patience.until(async () => {
        sent = this.#wanted;
        const content = await sent?.content();
        began = performance.now();
        return content && predict(this.model, content);
      });
      if (answer && isOf(sent, this.#wanted)) this.onAnswer(sent, answer, performance.now() - began);
    } catch (error) {
      if (this.#wanted === sent) this.onRefusal(sent, error);
    } finally {
      clearTimeout(late);
    }
    if (this.#wanted === sent) this.#want(null);
  }

  #want(subject) {
    this.#wanted = subject;
    this.onBusy(subject !== null);
  }
}

/** Whether an answer about `sent` still says something about `wanted`: it is the same, or an earlier stroke of the same drawing. */
function isOf(sent, wanted) {
  return sent === wanted || (sent.kind === "drawing" && wanted?.kind === "drawing" && sent.strokes[0][0] === wanted.strokes[0][0]);
}
