/** Joins the page's parts. */

import { Access } from "./access.js";
import { Announcer } from "./announcer.js";
import { models } from "./api.js";
import { Drawing } from "./drawing.js";
import * as format from "./format.js";
import { Gallery } from "./gallery.js";
import { KeyboardPen } from "./keyboard.js";
import { Refusal, Trouble } from "./notices.js";
import { Patience } from "./patience.js";
import { pictureSubject, takePictures } from "./pictures.js";
import { bytesOf, paint } from "./pixels.js";
import { drawByPointer } from "./pointer.js";
import { Readings } from "./readings.js";
import { strokesAsPicture, TooLittleInk } from "./strokes.js";
import { Surface } from "./surface.js";
import { themeChoice } from "./theme-choice.js";

const element = (id) => document.getElementById(id);
const BROUGHT = element("seen-how").textContent;
const AS_THEY_ARE = "28 × 28 grey values, as they are in the test set.";
const drawing = new Drawing();
const surface = new Surface(element("ink"), drawing);
const announcer = new Announcer(element("said"));
const placeAnnouncer = new Announcer(element("pen-at"));
const refusal = new Refusal(element("refusal"));
const patience = new Patience(new Trouble(element("trouble")), new Access(element("access")));
const gallery = new Gallery(element("gallery"), element("gallery-about"), patience, (subject) => {
  drawing.put(subject);
  element("frame").scrollIntoView({ block: "nearest" });
});
let readings = null;

drawByPointer(element("ink"), drawing);
new KeyboardPen(element("ink"), element("cursor"), drawing, placeAnnouncer);
themeChoice(element("themes"), () => surface.show());
takePictures({
  button: element("open"),
  input: element("file"),
  frame: element("frame"),
  onPicture: async (file) => drawing.put(await pictureSubject(file)),
});
drawing.addEventListener("change", (event) => changed(event.detail));
element("undo").addEventListener("click", () => drawing.undo());
element("clear").addEventListener("click", () => drawing.clear());
addEventListener("keydown", shortcut);
paintNothing();
start();

async function start() {
  let served;
  try {
    served = await patience.until(models);
  } catch (error) {
    refusal.tell(error.message, true);
    return;
  }
  readings = new Readings({
    place: element("readings"),
    template: element("reading"),
    compare: element("compare"),
    comparison: element("comparison"),
    models: served.models,
    patience,
    hooks: { onSeen, onRefusal, onLate: paintNothing, onFine: () => refusal.mended(), onSettled: (sentence) => announcer.say(sentence) },
  });
  readings.addEventListener("arranged", () => {
    element("count").textContent = format.count(readings.first.parameters);
    gallery.show(readings.first).then(() => gallery.mark(drawing.now));
  });
  readings.start(served.default);
  ask();
}

function changed(by) {
  const subject = drawing.now;
  if (by === "stroke") refusal.goneOn();
  else if (by !== "refusal") refusal.over();
  element("frame").dataset.empty = drawing.isEmpty;
  element("undo").disabled = !drawing.canUndo;
  element("clear").disabled = drawing.isEmpty;
  element("subject").hidden = subject.kind === "drawing";
  element("subject").textContent = described(subject);
  element("seen-how").textContent = subject.kind === "example" ? AS_THEY_ARE : BROUGHT;
  surface.show();
  gallery.mark(subject);
  if (drawing.isEmpty) {
    paintNothing();
    announcer.hush();
    if (by === "clear") placeAnnouncer.say("Cleared", 0);
  }
  ask();
}

function ask() {
  const subject = drawing.now;
  if (drawing.isEmpty) readings?.ask(null);
  else if (subject.kind === "drawing") readings?.ask({ ...subject, content: () => strokesAsPicture(subject.strokes) });
  else readings?.ask(subject);
}

function described(subject) {
  if (subject.kind === "example") return `Test image ${format.count(subject.index)}, labelled ${subject.labelled}`;
  if (subject.kind === "picture") return subject.bitmap ? subject.name : `${subject.name} (this browser cannot show it)`;
  return "";
}

/** A picture that is refused makes way for what was there before; a drawing stays, it can be gone on with. */
function onRefusal(subject, error) {
  const unfinished = error instanceof TooLittleInk && drawing.isDrawing; // every stroke begins with too little ink
  const sentence = subject.kind === "picture" ? `${subject.name}: ${error.message}` : error.message;
  if (!unfinished) refusal.tell(sentence, subject.kind !== "drawing");
  if (subject.kind === "drawing") paintNothing();
  else drawing.withdraw(subject);
}

function onSeen(pixels) {
  paint(element("seen"), bytesOf(pixels));
  element("seen").setAttribute("aria-label", "The 28 by 28 pixels that were read, white on black");
}

function paintNothing() {
  element("seen").width = 28; // which empties it
  element("seen").setAttribute("aria-label", "Nothing yet");
}

function shortcut(event) {
  if (event.target.matches("input, select, textarea")) return;
  const undo = event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
  const clear = (event.key === "Delete" || event.key === "Escape") && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (!undo && !clear) return;
  event.preventDefault();
  if (undo) drawing.undo();
  else drawing.clear();
}
