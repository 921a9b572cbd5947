// Requests that survive lost connections; an answer is kept until the server says that it has it.

import { banner } from "./dom.js";

/** A refusal of the server, in its words. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const LOST = "The connection is lost. Nothing is lost with it: trying again …";
const MAY_PASS = new Set([429, 502, 503, 504]);

/** Letters and digits that nobody guesses. */
export function random(n = 32) {
  const bytes = crypto.getRandomValues(new Uint8Array(n / 2));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function request(path, options, read) {
  let waited = false;
  const settle = () => { if (waited) banner(); };
  for (let pause = 500; ; pause = Math.min(8000, 2 * pause)) {
    let response = null;
    try {
      response = await fetch(path, { credentials: "same-origin", ...options });
      if (response.ok) {
        const result = await read(response);
        settle();
        return result;
      }
    } catch (error) {
      if (!(error instanceof TypeError) && error.name !== "AbortError") throw error;
      response = null; // no connection, or it broke off
    }
    if (response && !MAY_PASS.has(response.status)) {
      const said = await response.json().catch(() => ({}));
      settle();
      throw new Refused(response.status, said.error ?? `the server answers ${response.status}`);
    }
    banner(response && response.status === 429 ? "One moment …" : LOST);
    waited = true;
    await wait(pause * (0.75 + 0.5 * Math.random()));
  }
}

export const get = (path) => request(path, {}, (response) => response.json());
export const bytes = (path) => request(path, {}, (response) => response.arrayBuffer());
export const post = (path, body) => request(path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
}, (response) => response.json());

// Storage may be refused (private windows): then a reload forgets what was not sent, no more.
export const memory = {
  get(key) {
    try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* as said above */ }
  },
  forget(key) {
    try { localStorage.removeItem(key); } catch { /* as said above */ }
  },
};

const pendingOf = (test) => `unmask-pending-${test}`;

/** Send an answer, kept here until it is there; resolves to true, or to why it was not taken. */
export async function answer(test, position, body) {
  memory.set(pendingOf(test), { position, body });
  try {
    await post(`api/pages/${position}/answer`, body);
    return true;
  } catch (error) {
    if (error instanceof Refused && [404, 409].includes(error.status)) return error.message;
    throw error;
  } finally {
    memory.forget(pendingOf(test));
  }
}

/** Send what an earlier visit could not. */
export async function sendPending(test) {
  const kept = memory.get(pendingOf(test));
  if (kept) await answer(test, kept.position, kept.body).catch(() => {});
}
