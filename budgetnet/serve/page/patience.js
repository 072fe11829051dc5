/** Going on until the server answers: waits where it is away or busy, asks for a key where it wants one. */

const FIRST = 500; // ms before the second attempt; twice as long before each one after it
const LONGEST = 8000;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** `trouble` shows what is being waited for, `access` asks for the key. */
export class Patience {
  constructor(trouble, access) {
    this.trouble = trouble;
    this.access = access;
  }

  /** What `action` resolves to, however often it takes. Throws the ApiErrors that waiting does not mend. */
  async until(action) {
    const waiting = {};
    try {
      for (let attempt = 0; ; attempt++) {
        try {
          return await action();
        } catch (error) {
          if (error.status === 401) await this.access.key();
          else if (!error.passing) throw error;
          else await this.#wait(waiting, error, attempt);
        }
      }
    } finally {
      this.trouble.over(waiting);
    }
  }

  async #wait(waiting, error, attempt) {
    const busy = error.status === 503 || error.status === 429;
    this.trouble.tell(waiting, busy ? "The server is busy or starting." : "The server does not answer.");
    const asked = error.retryAfter === null ? Math.min(FIRST * 2 ** attempt, LONGEST) : 1000 * error.retryAfter;
    // pages that waited together do not come back together
    await pause(Math.min(Math.max(asked, 250), 30_000) * (1 + Math.random() / 5));
  }
}
