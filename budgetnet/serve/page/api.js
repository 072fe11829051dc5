/** The server's interface: requests, the key that goes with them, and failures as errors with a sentence. */

const KEPT = "budgetnet-key";
const LONGEST = 15_000; // ms without an answer, after which the server counts as unreachable

/** What went wrong: `status` is HTTP's, or 0 where no answer came; `retryAfter` is in seconds, or null. */
export class ApiError extends Error {
  constructor(status, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed later: no answer, a slow one, a busy server, a proxy without its server. */
  get passing() {
    return [0, 408, 429, 502, 503, 504].includes(this.status);
  }
}

export const models = () => request("v1/models");

export const gallery = (model) => request(`v1/gallery?model=${encodeURIComponent(model)}`);

/** A prediction for one picture: a Blob (its type says what it is), a File (sent with its name), or a Uint8Array of raw pixels. */
export function predict(model, content) {
  const headers = {};
  let body = content;
  if (content instanceof File) {
    body = new FormData();
    body.append("file", content, content.name);
  } else {
    headers["Content-Type"] = content instanceof Blob ? content.type : "application/octet-stream";
  }
  return request(`v1/predict?model=${encodeURIComponent(model)}&seen=true`, { method: "POST", headers, body });
}

/** For this tab only: a key is a secret. */
export function keepKey(key) {
  try {
    sessionStorage.setItem(KEPT, key);
  } catch {
    unkept = key;
  }
}

let unkept = null;

function key() {
  try {
    return sessionStorage.getItem(KEPT) ?? unkept;
  } catch {
    return unkept;
  }
}

async function request(path, { method = "GET", headers = {}, body } = {}) {
  if (key()) headers.Authorization = `Bearer ${key()}`;
  let response, text;
  try {
    const signal = AbortSignal.timeout(LONGEST);
    response = await fetch(new URL(path, document.baseURI), { method, headers, body, signal, cache: "no-store" });
    text = await response.text();
  } catch {
    throw new ApiError(0, "The server does not answer.");
  }
  const said = parsed(text);
  if (response.ok && said) return said;
  const retryAfter = Number.parseFloat(response.headers.get("Retry-After"));
  const sentence = said?.error?.message ?? `The server answered ${response.status} and nothing that can be read.`;
  throw new ApiError(response.status, sentence, Number.isFinite(retryAfter) ? retryAfter : null);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
