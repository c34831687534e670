// What is said of the film that is shown, and which buttons may be pressed.

import { open } from "./films.js";
import { $, markSelected, press, question, showQueue } from "./panel.js";
import { viewer } from "./stage.js";
import { state } from "./state.js";

export function select(position) {
  if (state.mode !== "choosing") return;
  state.selected = position;
  if (position !== null) state.overlays = true;
  showTask();
}

export function showTask() {
  const { task, mode, me } = state;
  const able = mode === "choosing";
  $("film-name").textContent = task?.film.id ?? "";
  $("film-name").title = task?.film.id ?? "";
  $("film-facts").textContent = facts();
  $("question").textContent = task ? question(task, me.target) : "No film";
  $("choosing").hidden = mode === "drawing";
  $("choosing").dataset.mode = mode;
  $("drawing").hidden = mode !== "drawing";
  if (!state.shown.length) $("candidates").replaceChildren();
  const only = task?.candidates === 1 ? 1 : null;
  const chosen = state.selected || only;
  $("accept-text").textContent = chosen ? (task.candidates > 1 ? `Accept mask ${chosen}` : "Accept") : "Accept: select a mask";
  $("draw-text").textContent = state.selected ? "Correct it: draw" : task?.candidates === 1 ? "Correct: draw" : "None fits: draw";
  for (const name of ["accept", "draw", "reject", "unsure", "exclude"]) {
    document.querySelector(`#choosing [data-do="${name}"]`).disabled = !able;
  }
  document.querySelector('[data-do="accept"]').disabled = !able || !chosen;
  document.querySelector('[data-do="reject"]').disabled = !able || !task?.candidates;
  document.querySelector('[data-do="exclude"]').disabled = !able && mode !== "problem";
  document.querySelector('[data-do="undo"]').disabled = !["choosing", "problem", "done"].includes(mode);
  document.querySelector('[data-do="save"]').disabled = mode !== "drawing";
  press("overlays", state.overlays);
  press("filled", state.filled);
  markSelected(state.selected);
  $("film").setAttribute("aria-label", task ? `Film ${task.film.id}, ${task.candidates} masks` : "No film");
  showQueue(state.queue, task?.film.id, open);
  viewer.draw();
}

function facts() {
  const { task } = state;
  if (!task) return "";
  const parts = [];
  if (task.film.patient) parts.push(`patient ${task.film.patient}`);
  if (task.film.width) parts.push(`${task.film.width} × ${task.film.height}`);
  const film = viewer.film;
  if (film) {
    parts.push(`${film.bits} bit`);
    if (film.negative) parts.push("negative turned back");
    if (film.factor > 1) parts.push(`shown at 1/${film.factor} of its size; masks are full size`);
  }
  return parts.join(" · ");
}
