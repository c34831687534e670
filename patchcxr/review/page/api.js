// Requests to the server. Nothing is kept on disk; films lately fetched stay in memory.

import { decodeMask } from "./png.js";

const KEPT_FILMS = 3;

/** An answer that is not a success; status 0 means that no answer came. */
export class RequestError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return [0, 408, 425, 429].includes(this.status) || this.status >= 500;
  }
}

async function request(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  } catch {
    throw new RequestError("The server does not answer.", 0);
  }
  if (answer.ok) return answer;
  let message = `The server answered ${answer.status}.`;
  try {
    message = (await answer.json()).error ?? message;
  } catch {
    // no JSON: the status says it
  }
  throw new RequestError(message, answer.status);
}

export async function get(path) {
  return (await request(path)).json();
}

export async function post(path, body, patience = 20000) {
  const answer = await request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(patience),
  });
  return answer.json();
}

const name = encodeURIComponent;

export const login = (token) => post("/login", { token });
export const logout = () => post("/logout", {});
export const me = () => get("/api/me");
export const nextTask = (round) => get(`/api/next${asked(round)}`);
export const taskOf = (film, round) => get(`/api/film/${name(film)}${asked(round)}`);
export const queue = (round) => get(`/api/queue${asked(round)}`);
export const decide = (body) => post("/api/decide", body);
export const undo = (body) => post("/api/undo", body);

function asked(round) {
  return round == null ? "" : `?round=${round}`;
}

const films = new Map(); // film -> promise of its pixels, oldest first

/** Grey levels and window of a film; fetched once, also ahead of time. */
export function pixelsOf(film, round) {
  let found = films.get(film);
  films.delete(film);
  if (!found) {
    found = fetchPixels(film, round);
    found.catch(() => films.delete(film));
  }
  films.set(film, found);
  if (films.size > KEPT_FILMS) films.delete(films.keys().next().value);
  return found;
}

async function fetchPixels(film, round) {
  const answer = await request(`/api/film/${name(film)}/pixels${asked(round)}`);
  const number = (header) => Number(answer.headers.get(header));
  const bytes = await answer.arrayBuffer();
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  let levels = new Uint16Array(bytes);
  if (!little) levels = levels.map((level) => (level >> 8) | ((level & 255) << 8));
  return {
    levels,
    bits: number("X-Bits"),
    rows: number("X-Height"),
    columns: number("X-Width"),
    factor: number("X-Factor") || 1,
    centre: number("X-Window-Centre"),
    windowWidth: number("X-Window-Width"),
    negative: number("X-Inverted") === 1,
  };
}

/** Mask of the candidate at a place (from 1) of the reader's own order. */
export async function maskOf(film, position, round) {
  const answer = await request(`/api/mask/${name(film)}/${position}${asked(round)}`);
  return decodeMask(new Uint8Array(await answer.arrayBuffer()));
}
