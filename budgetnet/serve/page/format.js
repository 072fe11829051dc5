/** Numbers as the page writes them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (number) => whole.format(number);

/** One decimal; no network is sure to 100 %. */
export function percent(probability) {
  if (probability > 0.9995) return ">99.9\u00a0%";
  return `${(100 * probability).toFixed(1)}\u00a0%`;
}

/** An accuracy, which is in percent already. */
export const accuracy = (given) => `${given.toFixed(2)}\u00a0%`;

/** Three significant digits where there are so many: 0.12, 4.56, 78.9, 123. */
export function milliseconds(time) {
  return `${time.toFixed(time < 10 ? 2 : time < 100 ? 1 : 0)}\u00a0ms`;
}

/** How many times more: 1.3, 152. */
export const times = (ratio) => (ratio < 10 ? ratio.toFixed(1).replace(/\.0$/, "") : count(ratio));
