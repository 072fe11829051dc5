/** The probabilities of all classes as labelled bars: a list whose text says everything the bars show. */

import { percent } from "./format.js";

export class Bars {
  constructor(list, classes, model) {
    this.rows = classes.map((name) => row(name));
    list.setAttribute("aria-label", `Probabilities, ${model}`);
    list.replaceChildren(...this.rows.map((each) => each.item));
  }

  /** `expected` is the label of an example, else null. */
  show(probabilities, winner, expected) {
    this.rows.forEach(({ item, fill, text, remark }, at) => {
      item.classList.toggle("winner", at === winner);
      item.classList.toggle("label", at === expected);
      fill.style.width = `${100 * probabilities[at]}%`;
      text.textContent = percent(probabilities[at]);
      remark.textContent = [at === winner && "predicted", at === expected && "label"].filter(Boolean).join(", ");
    });
  }

  empty() {
    for (const { item, fill, text, remark } of this.rows) {
      item.classList.remove("winner", "label");
      fill.style.width = "0";
      text.textContent = "–";
      remark.textContent = "";
    }
  }
}

function row(name) {
  const item = document.createElement("li");
  const [label, track, fill, text, remark] = ["class", "track", "fill", "percent", "unseen"].map((kind) => {
    const span = document.createElement("span");
    span.className = kind;
    return span;
  });
  label.textContent = name;
  track.append(fill);
  item.append(label, track, text, remark);
  return { item, fill, text, remark };
}
