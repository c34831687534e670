// The viewer, its controls, and the masks that are painted over the film.

import { $, colourOf, OWN_COLOUR, press } from "./panel.js";
import { state } from "./state.js";
import { Viewer } from "./viewer.js";

export const viewer = new Viewer($("film"), { onWindow: showWindow, paintOver });

function showWindow() {
  const { film } = viewer;
  $("window").textContent = `Level ${Math.round(viewer.centre)}  Width ${Math.round(viewer.width)}`;
  $("level").value = Math.round(((film.centre - viewer.centre) / film.windowWidth) * 100);
  $("contrast").value = Math.round(-50 * Math.log2(viewer.width / film.windowWidth));
  press("invert", viewer.inverted);
}

function paintOver(context) {
  $("zoom").textContent = `${Math.round(viewer.scale * (window.devicePixelRatio || 1) * 100)}%`;
  if (state.drawing) {
    if (state.overlays) state.drawing.paint(context, viewer, OWN_COLOUR, state.filled ? state.opacity : state.opacity / 3);
    return;
  }
  if (!state.overlays) return;
  const seen = state.shown.filter((one) => state.selected === null || one.position === state.selected);
  for (const one of seen) paintMask(context, one);
  if (seen.length > 1) seen.forEach((one, i) => paintBadge(context, one, i, seen.length));
}

function paintMask(context, { path, position }) {
  const line = 1 / viewer.scale;
  context.lineJoin = "round";
  if (state.filled) {
    context.fillStyle = colourOf(position);
    context.globalAlpha = state.opacity;
    context.fill(path, "evenodd");
    context.globalAlpha = 1;
  }
  for (const [colour, width] of [["#0009", 3.5], [colourOf(position), 1.75]]) {
    context.strokeStyle = colour;
    context.lineWidth = width * line;
    context.stroke(path);
  }
}

/** The mask's number on its contour; each mask has a direction of its own, so that numbers lie apart. */
function paintBadge(context, { loops, position }, index, count) {
  const angle = (2 * Math.PI * index) / count - Math.PI / 2;
  const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
  let best = null;
  let most = -Infinity;
  for (const loop of loops) {
    for (const [x, y] of loop) {
      if (x * dx + y * dy > most) [most, best] = [x * dx + y * dy, [x, y]];
    }
  }
  if (!best) return;
  const unit = 1 / viewer.scale;
  const [x, y] = [best[0] + 11 * dx * unit, best[1] + 11 * dy * unit];
  context.fillStyle = colourOf(position);
  context.beginPath();
  context.arc(x, y, 9 * unit, 0, 2 * Math.PI);
  context.fill();
  context.fillStyle = "#0a0b0d";
  context.font = `700 ${12 * unit}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(position || "✎", x, y + unit);
}

$("level").addEventListener("input", () => {
  if (viewer.film) viewer.setWindow(viewer.film.centre - ($("level").value / 100) * viewer.film.windowWidth, viewer.width);
});
$("contrast").addEventListener("input", () => {
  if (viewer.film) viewer.setWindow(viewer.centre, viewer.film.windowWidth * 2 ** (-$("contrast").value / 50));
});
