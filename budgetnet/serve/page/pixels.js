/** Images as the network has them: one byte per pixel, row by row, 0 black and 255 white. */

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Paints white on black what a network sees. */
export function paint(canvas, pixels) {
  canvas.width = canvas.height = Math.sqrt(pixels.length);
  fill(canvas, pixels, (value) => [value, value, value, 255]);
}

/** A canvas with the pixels as ink of a CSS colour "rgb(r, g, b)" on nothing. */
export function pixelsAsInk(pixels, colour) {
  const [red, green, blue] = colour.match(/[\d.]+/g).map(Number);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.sqrt(pixels.length);
  fill(canvas, pixels, (value) => [red, green, blue, value]);
  return canvas;
}

function fill(canvas, pixels, rgba) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  pixels.forEach((value, at) => image.data.set(rgba(value), 4 * at));
  context.putImageData(image, 0, 0);
}
