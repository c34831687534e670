// Which key does what, and the list of keys that the help shows.

export const HELP = {
  deciding: [
    "Deciding",
    ["1 … 9", "show that mask alone; again, or Enter, accepts it"],
    ["↑ ↓", "go through the masks"],
    ["Enter", "accept the mask that is shown alone"],
    ["a", "accept the mask shown alone, or the only one"],
    ["d", "none of these: draw (from the mask shown alone)"],
    ["r", "reject all masks"],
    ["u", "unsure"],
    ["x", "exclude the film"],
    ["⌫ or Ctrl+Z", "undo the last decision"],
    ["n or →", "next film"],
    ["←", "film before"],
    ["t", "write a note; Esc leaves it"],
    ["q", "queue of films"],
    ["Esc", "show all masks again"],
  ],
  viewing: [
    "Looking",
    ["h", "hide or show masks"],
    ["c", "contours or filled"],
    ["o  Shift+O", "more, less opaque"],
    ["i", "invert"],
    ["Shift + ↑ ↓", "brightness"],
    ["Shift + → ←", "contrast"],
    ["w", "the film's own window"],
    ["+ −", "zoom; also the wheel"],
    ["f", "whole film"],
    ["Ctrl + arrows", "move the film; also drag"],
    ["?", "this help"],
  ],
  drawing: [
    "Drawing",
    ["p  b", "polygon, brush"],
    ["e", "erase or add"],
    ["[  ]", "smaller, larger brush"],
    ["1 … 9  0", "start again from that mask, from nothing"],
    ["Arrows", "move the crosshair (Shift: far)"],
    ["Space", "set a corner, paint a dab"],
    ["⌫ or Ctrl+Z", "undo a corner or stroke"],
    ["Enter", "close the polygon, then save"],
    ["Esc", "drop the polygon, then leave"],
  ],
};

const PLAIN = {
  Enter: "confirm", Escape: "all", a: "accept", r: "reject", u: "unsure", x: "exclude", d: "draw", n: "next",
  ArrowRight: "next", ArrowLeft: "back", ArrowUp: "select-before", ArrowDown: "select-after", Backspace: "undo",
  t: "note", q: "queue",
};
const LOOKING = {
  h: "overlays", c: "filled", o: "opaque", O: "transparent", i: "invert", w: "reset", "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", f: "fit", "?": "help",
};
const DRAWING = {
  p: "polygon", b: "brush", e: "toggle-erase", "[": "smaller", "]": "larger", Enter: "save", Escape: "leave",
  Backspace: "undo-stroke", " ": "mark",
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** {name, value} of what a key press asks for, or null. */
export function actionOf(event, drawing) {
  if (event.altKey || event.metaKey || event.isComposing) return null;
  const arrow = ARROWS[event.key];
  if (event.ctrlKey) {
    if (event.key.toLowerCase() === "z") return { name: drawing ? "undo-stroke" : "undo" };
    return arrow ? { name: "pan", value: arrow } : null;
  }
  if (drawing && arrow) return { name: "nudge", value: arrow.map((way) => way * (event.shiftKey ? 25 : 4)) };
  if (arrow && event.shiftKey) return { name: "window", value: arrow };
  if (/^[0-9]$/.test(event.key)) return { name: drawing ? "start-from" : "select", value: Number(event.key) };
  const key = event.key.length === 1 && event.key !== "O" ? event.key.toLowerCase() : event.key;
  const name = (drawing ? DRAWING : PLAIN)[key] ?? LOOKING[key];
  return name ? { name } : null;
}
