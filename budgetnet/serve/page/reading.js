/** One model and what it says: digit, probabilities, times, and what it has of parameters. */

import { Bars } from "./bars.js";
import * as format from "./format.js";

export class Reading {
  /** `models` are those that can be switched to, `model` the one that is shown; `onSwitch(name)`. */
  constructor(template, models, model, onSwitch) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.models = models;
    const select = this.#find("select");
    select.append(...models.map((each) => new Option(`${each.name} · ${format.count(each.parameters)}`, each.name)));
    select.addEventListener("change", () => onSwitch(select.value));
    this.switchTo(model);
  }

  switchTo(model) {
    this.model = model;
    this.#find("select").value = model.name;
    this.element.setAttribute("aria-label", model.name);
    this.bars = new Bars(this.#find(".bars"), model.classes, model.name);
    this.#showModel();
    this.empty();
  }

  /** `expected` is the label of an example of the test set, else null. */
  show(answer, trip, expected) {
    const [{ digit, probabilities, warning = "" }] = answer.predictions;
    this.said = { name: this.model.classes[digit], probability: probabilities[digit], warning };
    this.#showDoubt(warning);
    this.#find(".digit").textContent = this.said.name;
    this.#find(".confidence strong").textContent = format.percent(this.said.probability);
    this.#find(".confidence span").textContent = this.#runnerUp(probabilities, digit);
    this.bars.show(probabilities, digit, expected);
    this.#showVerdict(digit, expected);
    this.#showTimes({ model: answer.milliseconds.model, server: answer.milliseconds.total, trip });
    this.element.classList.remove("nothing");
  }

  empty(remark = "waiting for a digit") {
    this.said = null;
    this.#find(".digit").textContent = "";
    this.#find(".confidence strong").textContent = "";
    this.#find(".confidence span").textContent = remark;
    this.#find(".verdict").hidden = true;
    this.#showDoubt("");
    this.bars.empty();
    this.#showTimes({});
    this.element.classList.add("nothing");
  }

  /** What a screen reader is told. */
  get sentence() {
    if (!this.said) return "";
    const { name, probability, warning } = this.said;
    return [`${this.model.name} reads ${name}, ${format.percent(probability)}`, warning].filter(Boolean).join("; ");
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  #runnerUp(probabilities, digit) {
    const rest = probabilities.map((probability, at) => (at === digit ? -1 : probability));
    const second = rest.indexOf(Math.max(...rest));
    return rest[second] < 0.005 ? "" : `or ${this.model.classes[second]}, ${format.percent(rest[second])}`;
  }

  #showVerdict(digit, expected) {
    const verdict = this.#find(".verdict");
    verdict.hidden = expected === null;
    if (expected === null) return;
    const right = digit === expected;
    verdict.classList.toggle("right", right);
    verdict.textContent = right ? "✓ as labelled" : `✗ labelled ${this.model.classes[expected]}`;
  }

  #showDoubt(warning) {
    const doubt = this.#find(".doubt");
    doubt.hidden = !warning;
    doubt.textContent = warning && `${warning[0].toUpperCase()}${warning.slice(1)}.`;
  }

  #showTimes(times) {
    for (const cell of this.element.querySelectorAll("[data-time]")) {
      const time = times[cell.dataset.time];
      cell.textContent = time === undefined ? "–" : format.milliseconds(time);
    }
  }

  #showModel() {
    const { title, parameters, budget, accuracy, source, seed, backend, precision } = this.model;
    const meter = this.#find(".meter");
    meter.hidden = budget === null;
    this.#find(".budget strong").textContent = format.count(parameters);
    this.#find(".budget span").textContent = budget === null ? "parameters, without a budget" : `of ${format.count(budget)} parameters`;
    if (budget !== null) {
      meter.setAttribute("aria-label", `Parameters of ${this.model.name} against its budget`);
      meter.setAttribute("aria-valuemax", budget);
      meter.setAttribute("aria-valuenow", parameters);
      meter.setAttribute("aria-valuetext", `${format.count(parameters)} of ${format.count(budget)} parameters`);
      meter.firstElementChild.style.width = `${Math.min(100, (100 * parameters) / budget)}%`;
    }
    const tested = accuracy === null ? null : `${format.accuracy(accuracy)} right on the test set`;
    this.#find(".facts").textContent = [tested, seed === null ? null : `seed ${seed}`, `${backend} ${precision}`].filter(Boolean).join(" · ");
    this.#find(".title").textContent = title === this.model.name ? "" : title;
    this.#find(".source").textContent = source;
  }
}
