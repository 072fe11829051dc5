/** The test set's worst errors of a model, to be chosen from. */

import { gallery } from "./api.js";
import * as format from "./format.js";
import { pause } from "./patience.js";
import { bytesOf, paint } from "./pixels.js";

const LOOKS = 20; // at errors that are still being computed
const BETWEEN = 3000; // ms

export class Gallery {
  #model = null;

  /** `onChoose(subject)` with what the drawing can be given. */
  constructor(list, about, patience, onChoose) {
    Object.assign(this, { list, about, patience, onChoose });
  }

  /** Shows the errors of `model`, once they are there. */
  async show(model) {
    if (this.#model === model.name) return;
    this.#model = model.name;
    for (let look = 0; look < LOOKS; look++) {
      const found = await this.patience.until(() => gallery(model.name)).catch((error) => ({ images: [], message: error.message }));
      if (this.#model !== model.name) return; // switched meanwhile
      this.#fill(found, model);
      if (!found.message || found.images.length) return;
      await pause(BETWEEN);
      if (this.#model !== model.name) return;
    }
  }

  /** Marks the example that is on the stage. */
  mark(subject) {
    for (const button of this.list.querySelectorAll("button")) {
      if (subject.kind === "example" && button.value === String(subject.index)) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  #fill({ images, errors, message }, model) {
    const among = `The ${format.count(errors)} errors of ${model.name} on the test set`;
    const text = images.length < errors ? `${among}: the ${images.length} it was surest of.` : `${among}.`;
    const none = errors === 0 ? `${model.name} makes no errors on the test set.` : "";
    const said = message ?? (none || `${text} The label first, then what was read.`);
    if (this.about.textContent !== said) this.about.textContent = said;
    this.list.replaceChildren(...images.map((image) => this.#item(image, model)));
  }

  #item(image, model) {
    const pixels = bytesOf(image.pixels);
    const [label, said] = [image.label, image.digit].map((digit) => model.classes[digit]);
    const picture = document.createElement("canvas");
    paint(picture, pixels);
    picture.setAttribute("aria-hidden", "true");
    const button = document.createElement("button");
    button.type = "button";
    button.value = image.index;
    button.setAttribute(
      "aria-label", `Test image ${image.index}: labelled ${label}, read as ${said} with ${format.percent(image.probability)}`
    );
    button.append(picture, text("read", `${label} → ${said}`), text("sure", format.percent(image.probability)));
    button.addEventListener("click", () =>
      this.onChoose({ kind: "example", index: image.index, label: image.label, labelled: label, pixels, content: async () => pixels })
    );
    const item = document.createElement("li");
    item.append(button);
    return item;
  }
}

function text(kind, content) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = content;
  return span;
}
