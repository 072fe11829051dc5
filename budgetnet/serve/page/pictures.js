/** Pictures that are given: opened, dropped or pasted. */

const LARGEST = 1024; // pixels of the longer side that the server makes use of
const SMALL = 512 * 1024; // bytes that are sent as they are

/** `onPicture(file)` for each way to give one; `frame` shows where to drop it. */
export function takePictures({ button, input, frame, onPicture }) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) onPicture(input.files[0]);
    input.value = ""; // the same file may be opened again
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) onPicture(file);
  });
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    frame.classList.add("dropping");
  });
  for (const kind of ["dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      if (kind === "drop" || event.relatedTarget === null) frame.classList.remove("dropping");
    });
  }
  addEventListener("drop", (event) => {
    const [file] = event.dataTransfer.files;
    if (!file) return;
    event.preventDefault();
    onPicture(file);
  });
}

/** The subject that a file makes: shown if the browser can, sent as it is unless it is a large photograph. */
export async function pictureSubject(file) {
  const bitmap = await decoded(file);
  const sent = bitmap && file.size > SMALL ? await reduced(bitmap, file.name) : file;
  return { kind: "picture", name: file.name, bitmap, content: async () => sent };
}

/** Null for what the browser cannot show: the server knows more formats, and says what is no picture. */
async function decoded(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    return null;
  }
}

async function reduced(bitmap, name) {
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // the paper of what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return new File([blob], name, { type: blob.type });
}
