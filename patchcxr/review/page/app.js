// The review page: keys and buttons, and what each of them does.

import * as api from "./api.js";
import { accept, decide, pending, undo } from "./deciding.js";
import { leaveDrawing, leaving, saveDrawing, showDrawing, startDrawing, startFrom } from "./drawmode.js";
import { goOn, open, step } from "./films.js";
import { actionOf } from "./keys.js";
import { $, fillHelp, say, showQueue } from "./panel.js";
import { start } from "./signing.js";
import { viewer } from "./stage.js";
import { state } from "./state.js";
import { select, showTask } from "./task.js";

const only = () => (state.task?.candidates === 1 ? 1 : null);

const ACTIONS = {
  select: (position) => {
    if (!state.shown.some((one) => one.position === position)) return;
    if (state.selected === position) accept(position);
    else select(position);
  },
  "select-before": () => cycle(-1),
  "select-after": () => cycle(1),
  all: () => select(null),
  confirm: () => state.selected !== null && accept(state.selected),
  accept: () => (state.selected ?? only()) !== null && accept(state.selected ?? only()),
  draw: startDrawing,
  reject: () => state.task?.candidates && decide("reject"),
  unsure: () => decide("unsure"),
  exclude: () => decide("exclude"),
  undo,
  next: () => step(1),
  back: () => step(-1),
  overlays: () => { state.overlays = !state.overlays; showTask(); },
  filled: () => { state.filled = !state.filled; showTask(); },
  opaque: () => setOpacity(state.opacity + 0.1),
  transparent: () => setOpacity(state.opacity - 0.1),
  note: () => $("note").focus(),
  queue: () => { $("queue-box").open = !$("queue-box").open; $("queue-box").querySelector("summary").focus(); },
  help: () => $("help").showModal(),
  fit: () => viewer.fit(),
  invert: () => viewer.invert(),
  reset: () => { if (viewer.inverted) viewer.invert(); viewer.resetWindow(); },
  "zoom-in": () => viewer.zoom(1.25),
  "zoom-out": () => viewer.zoom(0.8),
  pan: ([dx, dy]) => viewer.film && viewer.pan(-60 * dx, -60 * dy),
  window: ([dx, dy]) => viewer.changeWindow(0.05 * dy, -0.1 * dx),
  // drawing
  polygon: () => setTool({ shape: "polygon" }),
  brush: () => setTool({ shape: "brush" }),
  add: () => setTool({ erase: false }),
  erase: () => setTool({ erase: true }),
  "toggle-erase": () => setTool({ erase: !state.drawing.erase }),
  smaller: () => state.drawing.resize(-1),
  larger: () => state.drawing.resize(1),
  "start-from": startFrom,
  nudge: ([dx, dy]) => state.drawing.nudge(dx, dy),
  mark: () => state.drawing.mark(),
  "undo-stroke": () => state.drawing.undo(),
  save: saveDrawing,
  leave: leaveDrawing,
};
const REPEATABLE = new Set([
  "window", "pan", "zoom-in", "zoom-out", "smaller", "larger", "nudge", "opaque", "transparent", "select-before",
  "select-after", "undo-stroke",
]);

function cycle(by) {
  if (!state.shown.length || state.mode !== "choosing") return;
  const at = state.shown.findIndex((one) => one.position === state.selected);
  const count = state.shown.length;
  select(state.shown[at < 0 ? (by > 0 ? 0 : count - 1) : (at + by + count) % count].position);
}

function setOpacity(value) {
  state.opacity = Math.min(0.8, Math.max(0.05, value));
  $("opacity").value = Math.round(state.opacity * 100);
  viewer.draw();
}

function setTool(change) {
  if (change.shape && state.drawing.points.length) state.drawing.discardPolygon();
  Object.assign(state.drawing, change);
  showDrawing();
}

const NATIVE = "button, a, summary, select, input, textarea, label";

document.addEventListener("keydown", (event) => {
  if (!state.me || !$("login").hidden || $("help").open) return;
  const at = document.activeElement;
  if (at === $("note")) {
    if (event.key === "Escape") $("film").focus({ preventScroll: true });
    return; // no key fires while a note is typed
  }
  const drawing = state.mode === "drawing";
  const found = actionOf(event, drawing);
  if (!found || (event.repeat && !REPEATABLE.has(found.name))) return;
  // A focused control keeps the keys that work it; only a focused mask takes Enter as everywhere else.
  const native = at?.matches(NATIVE) && !at.matches(".candidate");
  if (native && ["Enter", " "].includes(event.key)) return;
  if (at?.matches("select") || (at?.matches("input") && event.key.startsWith("Arrow"))) return;
  if (at?.matches(".candidate") && event.key === "Enter" && Number(at.dataset.position) !== state.selected) return;
  event.preventDefault();
  ACTIONS[found.name](found.value);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button && !button.disabled) ACTIONS[button.dataset.do]();
});

$("help-button").addEventListener("click", ACTIONS.help);
$("logout").addEventListener("click", async () => {
  if (pending.items.length) return say("message", "A decision is still on its way; sign out when it is saved.");
  await api.logout().catch(() => {});
  location.reload();
});
$("opacity").addEventListener("input", () => setOpacity($("opacity").value / 100));
$("queue-box").addEventListener("toggle", () => showQueue(state.queue, state.task?.film.id, open));
$("round").addEventListener("change", () => {
  if (state.mode === "sending" || leaving()) {
    $("round").value = state.round;
    return;
  }
  state.round = Number($("round").value);
  state.skipped.clear();
  $("round").blur();
  goOn();
});

fillHelp();
start();
