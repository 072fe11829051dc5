/** The models that read the drawing: one, or two side by side. */

import * as format from "./format.js";
import { Lane } from "./lane.js";
import { Reading } from "./reading.js";

export class Readings extends EventTarget {
  #shown = []; // {reading, lane}
  #subject = null;

  /** `hooks`: onSeen(pixels as base64), onSettled(sentence), onRefusal(subject, error), onFine(), onLate(). */
  constructor({ place, template, compare, comparison, models, patience, hooks }) {
    super();
    Object.assign(this, { place, template, compare, comparison, models, patience, hooks });
    compare.hidden = models.length < 2;
    compare.addEventListener("click", () => this.#toggle());
  }

  /** The model whose errors the gallery shows. */
  get first() {
    return this.#shown[0].reading.model;
  }

  start(name) {
    this.#add(this.#model(name));
  }

  /** Has `subject` read by every model shown; null empties them. */
  ask(subject) {
    this.#subject = subject;
    for (const { reading, lane } of this.#shown) {
      if (!subject) reading.empty();
      lane.ask(subject);
    }
    this.#compareSaid();
  }

  #model(name) {
    return this.models.find((each) => each.name === name) ?? this.models[0];
  }

  #add(model) {
    const entry = {};
    entry.reading = new Reading(this.template, this.models, model, (name) => this.#switch(entry, name));
    entry.lane = this.#lane(entry, model);
    this.#shown.push(entry);
    this.place.append(entry.reading.element);
    entry.lane.ask(this.#subject);
    this.#arranged();
  }

  #lane(entry, model) {
    return new Lane(model.name, this.patience, {
      onBusy: (busy) => entry.reading.element.setAttribute("aria-busy", busy),
      onAnswer: (subject, answer, trip) => {
        entry.reading.show(answer, trip, subject.label ?? null);
        this.hooks.onSeen(answer.predictions[0].seen);
        this.hooks.onFine();
        this.#compareSaid();
        this.hooks.onSettled(this.#sentence(subject));
      },
      onLate: () => {
        entry.reading.empty("waiting for the server");
        this.hooks.onLate();
        this.#compareSaid();
      },
      onRefusal: (subject, error) => {
        entry.reading.empty();
        this.hooks.onRefusal(subject, error);
      },
    });
  }

  /** Choosing the model that the other one shows swaps the two. */
  #switch(entry, name) {
    const other = this.#shown.find((each) => each !== entry && each.reading.model.name === name);
    if (other) this.#read(other, entry.reading.model);
    this.#read(entry, this.#model(name));
    this.#arranged();
  }

  #read(entry, model) {
    entry.lane.ask(null);
    entry.lane = this.#lane(entry, model);
    entry.reading.switchTo(model);
    entry.lane.ask(this.#subject);
  }

  #toggle() {
    if (this.#shown.length > 1) {
      const { reading, lane } = this.#shown.pop();
      lane.ask(null);
      reading.element.remove();
      this.#arranged();
    } else {
      const others = this.models.filter((each) => each !== this.first);
      this.#add(others.reduce((most, each) => (each.parameters > most.parameters ? each : most)));
    }
  }

  #arranged() {
    const two = this.#shown.length > 1;
    this.place.classList.toggle("two", two);
    this.compare.setAttribute("aria-pressed", two);
    this.comparison.hidden = !two;
    this.#compareSaid();
    this.dispatchEvent(new Event("arranged"));
  }

  /** What a screen reader is told. */
  #sentence(subject) {
    const said = this.#shown.map(({ reading }) => reading.sentence).filter(Boolean);
    return (subject.labelled === undefined ? said : [`Labelled ${subject.labelled}`, ...said]).join("; ");
  }

  /** What two models side by side come to. */
  #compareSaid() {
    if (this.#shown.length < 2) return;
    const [few, many] = this.#shown.map(({ reading }) => reading).sort((a, b) => a.model.parameters - b.model.parameters);
    const ratio = format.times(many.model.parameters / few.model.parameters);
    const spent =
      ratio === "1"
        ? ["Both spend about as many parameters."]
        : [unbroken(many.model.name), ` spends ${ratio} times the parameters of `, unbroken(few.model.name), "."];
    const both = few.said && many.said ? (few.said.name === many.said.name ? " Here they agree." : " Here they disagree.") : "";
    this.comparison.replaceChildren(...spent, both);
  }
}

/** A name that is not broken at its hyphen. */
function unbroken(name) {
  const span = document.createElement("span");
  span.textContent = name;
  return span;
}
