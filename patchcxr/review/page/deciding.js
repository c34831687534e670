// Decisions: made, sent, and only called saved when the server has answered.

import * as api from "./api.js";
import { stopDrawing } from "./drawmode.js";
import { goOn, open, refreshQueue } from "./films.js";
import { $, say, showProgress } from "./panel.js";
import { newKey, Pending } from "./pending.js";
import { askToken } from "./signing.js";
import { state } from "./state.js";
import { showTask } from "./task.js";

export let pending = null;

/** Begin to send for a reader, first what an earlier page could not; true if there is such. */
export function sendFor(reader) {
  pending = new Pending(reader, send, { change: showPending, stored, refused, login: askToken });
  showPending();
  if (!pending.items.length) return false;
  state.mode = "sending";
  pending.hurry();
  return true;
}

const send = (item) => (item.kind === "undo" ? api.undo(item.body) : api.decide(item.body));

function secondsSoFar() {
  return state.seconds + (document.hidden ? 0 : (performance.now() - state.since) / 1000);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) state.seconds += (performance.now() - state.since) / 1000;
  else state.since = performance.now();
});

export function decide(action, more = {}) {
  if (!["choosing", "problem", "drawing"].includes(state.mode)) return;
  if (state.mode === "problem" && action !== "exclude") return;
  if (performance.now() < state.settled) return;
  const { task } = state;
  const body = {
    reader: state.me.reader, film: task.film.id, round: task.round, action, key: newKey(), note: $("note").value.trim(),
    seconds: Math.round(secondsSoFar() * 10) / 10, ...more,
  };
  state.before = state.mode;
  state.mode = "sending";
  say("message", "");
  showTask();
  pending.add({ kind: "decide", body });
}

export function accept(position) {
  if (position === 0) say("message", "This is the mask that you drew; it is kept. Draw to change it.");
  else decide("choose", { position });
}

/** Take back the last decision of this round: by its key, so that a repeated undo takes back nothing more. */
export async function undo() {
  if (!["choosing", "problem", "done"].includes(state.mode)) return;
  state.before = state.mode;
  state.mode = "sending";
  say("message", "");
  showTask();
  let problem = "There is nothing to undo in this round.";
  try {
    const { key } = state.round === null ? { key: null } : await api.last(state.round);
    if (key !== null) return pending.add({ kind: "undo", body: { reader: state.me.reader, undo_key: newKey(), key } });
  } catch (error) {
    if (error.status === 401) askToken();
    problem = `Nothing was undone: ${error.message}`;
  }
  state.mode = state.before;
  showTask();
  say("message", problem);
}

function stored(item, answer) {
  showProgress(answer.progress);
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  $("saved").textContent = item.kind === "undo" ? `Undone ${time}` : `Saved ${time}`;
  if (pending.items.length) return;
  state.mode = "loading";
  stopDrawing();
  if (item.kind !== "undo") goOn();
  else {
    state.round = answer.stored.round;
    $("round").value = state.round;
    refreshQueue().catch(() => {}).then(() => open(answer.stored.film));
  }
}

async function refused(item, error) {
  $("saved").textContent = "";
  state.mode = state.before ?? "loading";
  if (state.task) showTask();
  else await goOn();
  say("message", `Not saved: ${error.message}`);
}

function showPending() {
  const count = pending?.items.length ?? 0;
  $("saved").classList.toggle("waiting", count > 0);
  if (count) $("saved").textContent = "Saving";
  let text = "";
  if (count && pending.problem) {
    text = `Not saved yet: ${pending.problem} Your decision is kept here and sent again until it is stored.`;
    if (!pending.kept) text += " This browser cannot keep it: do not close the page.";
  }
  say("pending", text);
}

window.addEventListener("beforeunload", (event) => {
  if (state.drawing?.touched || (pending?.items.length && !pending.kept)) event.preventDefault();
});
