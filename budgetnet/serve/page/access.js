/** The form that asks for the server's API key. */

import { keepKey } from "./api.js";

export class Access {
  #asked = null;
  #given = false;

  constructor(form) {
    this.form = form;
    this.input = form.querySelector("input");
    this.remark = form.querySelector("[role=status]");
  }

  /** Resolves once a key has been given; however many ask, the form is one. */
  key() {
    this.#asked ??= new Promise((resolve) => {
      this.remark.textContent = this.#given ? "The server does not take the key that was given." : "";
      this.form.hidden = false;
      if (document.activeElement === document.body) this.input.focus();
      this.form.onsubmit = (event) => {
        event.preventDefault();
        keepKey(this.input.value.trim());
        this.#given = true;
        this.#asked = null;
        this.input.value = "";
        this.form.hidden = true;
        resolve();
      };
    });
    return this.#asked;
  }
}
