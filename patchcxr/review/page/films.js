// Which film is shown: fetched, shown with its masks, or the reason why not.

import * as api from "./api.js";
import { leaving, stopDrawing } from "./drawmode.js";
import { outlines, pathOf } from "./masks.js";
import { $, say, showCandidates, showProgress, showQueue } from "./panel.js";
import { askToken } from "./signing.js";
import { viewer } from "./stage.js";
import { RETRY, settle, state } from "./state.js";
import { select, showTask } from "./task.js";

export function retryLater(what, error) {
  cover(error.message, "Trying again.");
  $("review").hidden = false;
  setTimeout(what, RETRY);
}

function cover(text, more = "") {
  $("cover").hidden = !text;
  $("cover-text").textContent = text;
  $("cover-more").textContent = more;
}

export async function refreshQueue() {
  state.queue = (await api.queue(state.round)).queue;
  showQueue(state.queue, state.task?.film.id, open);
}

/** The next film that the server gives, unless the reader passed it over; then the next open one. */
export async function goOn() {
  const turn = ++state.turn;
  try {
    await refreshQueue();
    const task = await api.nextTask(state.round);
    if (turn !== state.turn) return;
    if (task.film && state.skipped.has(task.film.id)) {
      const other = state.queue.find((entry) => entry.state !== "done" && !state.skipped.has(entry.film));
      if (other) return open(other.film);
      state.skipped.clear();
    }
    if (task.film) return await show(task);
    finish(task.progress);
  } catch (error) {
    if (turn === state.turn) failed(error, () => turn === state.turn && goOn());
  }
}

export async function open(film) {
  if (leaving() || state.mode === "sending") return;
  const turn = ++state.turn;
  try {
    const task = await api.taskOf(film, state.round);
    if (turn === state.turn) await show(task);
  } catch (error) {
    if (turn === state.turn) failed(error, () => turn === state.turn && open(film));
  }
}

function failed(error, again) {
  if (error.status === 401) askToken();
  else if (error.passing) retryLater(again, error);
  else cover(error.message);
}

function finish(progress) {
  stopDrawing();
  state.task = null;
  state.mode = "done";
  viewer.show(null);
  state.shown = [];
  showProgress(progress);
  cover("All films of this round are done, or held by other readers.", "Thank you. Films done before can be looked at from the queue.");
  showTask();
}

export async function show(task) {
  const turn = ++state.turn;
  stopDrawing();
  Object.assign(state, { task, mode: "loading", shown: [], selected: null, sure: null });
  $("note").value = task.decision?.note ?? "";
  say("message", "");
  showProgress(task.progress);
  showTask();
  if (task.film.problem) return troubled(task.film.problem);
  const slow = setTimeout(() => turn === state.turn && cover("Loading the film."), 400);
  try {
    const places = Array.from({ length: task.candidates }, (_, i) => i + 1);
    if (task.decision?.action === "draw") places.push(0);
    const [pixels, ...masks] = await Promise.all([
      api.pixelsOf(task.film.id, task.round),
      ...places.map((position) => api.maskOf(task.film.id, position, task.round)),
    ]);
    if (turn !== state.turn) return;
    const { width, height } = task.film;
    state.shown = places.map((position, i) => {
      const { mask } = masks[i];
      return { position, mask, path: pathOf(mask, width, height), loops: outlines(mask, width, height) };
    });
    cover("");
    viewer.show({ ...pixels, width, height });
    viewer.paint();
    settle("choosing");
    showCandidates(state.shown, viewer, task.decision?.action === "draw" ? 0 : task.decision?.position, select);
    showTask();
    prefetch();
  } catch (error) {
    if (turn !== state.turn) return;
    if (error.status === 401) askToken();
    else if (error.passing ?? false) retryLater(() => turn === state.turn && show(task), error);
    else troubled(error.message);
  } finally {
    clearTimeout(slow);
  }
}

function troubled(reason) {
  settle("problem");
  state.shown = [];
  viewer.show(null);
  cover("This film cannot be reviewed.", `${reason}\n\nExclude it (x), or go on to the next film (n).`);
  showTask();
}

function prefetch() {
  const at = state.queue.findIndex((entry) => entry.film === state.task.film.id);
  const next = state.queue.slice(at + 1).find((entry) => entry.state === "open");
  if (next) api.pixelsOf(next.film, state.round).catch(() => {});
}

export function step(by) {
  if (state.mode === "sending") return;
  const at = state.queue.findIndex((entry) => entry.film === state.task?.film.id);
  const to = state.queue[at < 0 ? (by > 0 ? 0 : state.queue.length - 1) : at + by];
  if (!to) return say("message", by > 0 ? "This is the last film of the queue." : "This is the first film of the queue.");
  if (by > 0 && state.task && !state.task.decision) state.skipped.add(state.task.film.id);
  open(to.film);
}
