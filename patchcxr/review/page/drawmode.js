// Drawing on the page: begun from a mask or from nothing, saved or left.

import { decide } from "./deciding.js";
import { Drawing } from "./drawing.js";
import { areaOf } from "./masks.js";
import { $, element, press, say } from "./panel.js";
import { encodeMask, toBase64 } from "./png.js";
import { viewer } from "./stage.js";
import { state } from "./state.js";
import { showTask } from "./task.js";

export function startDrawing() {
  if (state.mode !== "choosing") return;
  const from = state.shown.find((one) => one.position === state.selected);
  state.drawing = new Drawing(viewer, from?.mask ?? null, from?.position || null, showDrawing);
  viewer.tool = state.drawing;
  state.mode = "drawing";
  state.sure = null;
  $("film").classList.add("drawing");
  $("film").focus({ preventScroll: true });
  $("starts").replaceChildren(
    element("span", { className: "small", textContent: "Start from" }),
    ...[null, ...state.shown.filter((one) => one.position)].map((one) => {
      const button = element("button", { type: "button", textContent: one ? one.position : "Empty" });
      button.addEventListener("click", () => startFrom(one?.position ?? 0));
      return button;
    }),
  );
  showTask();
  showDrawing();
}

export function startFrom(position) {
  const one = position ? state.shown.find((candidate) => candidate.position === position) : null;
  if (one || position === 0) state.drawing.restart(one?.mask ?? null, position || null);
}

export function stopDrawing() {
  if (!state.drawing) return;
  state.drawing = null;
  viewer.tool = null;
  $("film").classList.remove("drawing");
  viewer.draw();
}

/** Whether a drawing would be lost; the second request lets it go. */
export function leaving() {
  if (!state.drawing?.touched || state.mode !== "drawing") return false;
  return !twice("leave", "The drawing is not saved. Once more drops it.");
}

function twice(what, text) {
  if (state.sure === what) {
    state.sure = null;
    say("message", "");
    return true;
  }
  state.sure = what;
  say("message", text);
  return false;
}

export async function saveDrawing() {
  const { drawing, task } = state;
  if (drawing.finish()) return;
  if (drawing.points.length && !twice("open", "The polygon has fewer than three corners. Once more drops it and saves.")) return;
  if (drawing.empty && !twice("empty", `The mask is empty: that says there is no ${state.me.target} here. Once more saves it.`)) return;
  const png = await encodeMask(drawing.mask, task.film.width, task.film.height);
  if (state.drawing === drawing && state.mode === "drawing") {
    decide("draw", { mask: toBase64(png), start: drawing.startPosition });
  }
}

export function leaveDrawing() {
  if (state.drawing.points.length) return state.drawing.discardPolygon();
  if (leaving()) return;
  stopDrawing();
  state.mode = "choosing";
  showTask();
}

export function showDrawing() {
  const { drawing } = state;
  if (!drawing) return;
  if (state.sure) {
    state.sure = null;
    say("message", "");
  }
  press("polygon", drawing.shape === "polygon");
  press("brush", drawing.shape === "brush");
  press("add", !drawing.erase);
  press("erase", drawing.erase);
  $("radius").textContent = `Brush ${2 * drawing.radius} px`;
  if (!drawing.stroke) $("drawn").textContent = `${areaOf(drawing.mask).toLocaleString("en")} pixels`;
  $("save-text").textContent = drawing.points.length >= 3 ? "Close the polygon" : "Save this mask";
  viewer.draw();
}
