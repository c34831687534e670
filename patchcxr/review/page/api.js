// Requests to the server. Nothing is kept on disk; films lately fetched stay in memory.

import { decodeMask } from "./png.js";

const KEPT_FILMS = 3;
const PATIENCE = 20000; // milliseconds that the answer to what is sent may take

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

const JSON_TYPE = "application/json";
const TOO_LARGE = 413; // of any server between, too: the same body will never pass

/**
 * What read(answer) makes of a whole answer of the expected type. A connection that is cut while the body loads, and an
 * answer that is not of the review (such as the sign-in page of a hotel's network), count as no answer.
 */
async function request(path, type, read, options = {}) {
  let answer;
  let message;
  try {
    answer = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
    const expected = answer.ok ? type : JSON_TYPE;
    if (!answer.headers.get("Content-Type")?.startsWith(expected)) throw new TypeError(`expected ${expected}`);
    if (answer.ok) return await read(answer);
    message = (await answer.json()).error;
  } catch {
    // said below
  }
  if (!answer) throw new RequestError("The server does not answer.", 0);
  if (message || answer.status === TOO_LARGE || answer.status >= 500) {
    throw new RequestError(message ?? `The server answered ${answer.status}.`, answer.status);
  }
  throw new RequestError(`The answer (${answer.status}) was cut off, or is not from the review.`, 0);
}

export const get = (path) => request(path, JSON_TYPE, (answer) => answer.json());

export function post(path, body, read = (answer) => answer.json()) {
  return request(path, JSON_TYPE, read, {
    method: "POST",
    headers: { "Content-Type": JSON_TYPE },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  });
}

async function confirmed(answer) {
  const found = await answer.json();
  if (!found?.stored) throw new TypeError("expected what was stored");
  return found;
}

const name = encodeURIComponent;

export const login = (token) => post("/login", { token });
export const logout = () => post("/logout", {});
export const me = () => get("/api/me");
export const nextTask = (round) => get(`/api/next${asked(round)}`);
export const taskOf = (film, round) => get(`/api/film/${name(film)}${asked(round)}`);
export const queue = (round) => get(`/api/queue${asked(round)}`);
export const last = (round) => get(`/api/last${asked(round)}`);
export const decide = (body) => post("/api/decide", body, confirmed);
export const undo = (body) => post("/api/undo", body, confirmed);

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

const fetchPixels = (film, round) =>
  request(`/api/pixels/${name(film)}${asked(round)}`, "application/octet-stream", readPixels);

async function readPixels(answer) {
  const number = (header) => Number(answer.headers.get(header));
  const bytes = await answer.arrayBuffer();
  if (bytes.byteLength !== 2 * number("X-Height") * number("X-Width")) throw new TypeError("expected a whole film");
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
  const bytes = await request(`/api/mask/${name(film)}/${position}${asked(round)}`, "image/png", (answer) => answer.arrayBuffer());
  return decodeMask(new Uint8Array(bytes));
}
