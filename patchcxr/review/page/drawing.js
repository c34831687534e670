// Drawing a mask on the film: polygon and brush, add and erase, with undo.

import { boundsOf, boxAround, clip, fillPolygon, fillStroke, pathOf } from "./masks.js";

const MOST_UNDO = 100;
const CLOSE_PIXELS = 9; // CSS pixels from the first corner within which a click closes the polygon

export class Drawing {
  /** start: a mask to begin from (copied) or null; startPosition: the candidate's number or null. */
  constructor(viewer, start, startPosition, changed) {
    const { width, height } = viewer.film;
    this.viewer = viewer;
    this.width = width;
    this.height = height;
    this.mask = start ? start.slice() : new Uint8Array(width * height);
    this.startPosition = startPosition;
    this.changed = changed;
    this.shape = "polygon";
    this.erase = false;
    this.radius = Math.max(2, Math.round(Math.min(width, height) / 40));
    this.points = [];
    this.history = [];
    this.stroke = null;
    this.cursor = null;
    this.path = pathOf(this.mask, width, height);
  }

  /** Whether there is anything to lose. */
  get touched() {
    return this.history.length > 0 || this.points.length > 0;
  }

  get empty() {
    return !boundsOf(this.mask, this.width, this.height);
  }

  begin(box) {
    const { left, top, right, bottom } = clip(box, this.width, this.height);
    const before = this.copy(left, top, right, bottom);
    this.history.push({ left, top, right, bottom, before, startPosition: this.startPosition });
    if (this.history.length > MOST_UNDO) this.history.shift();
  }

  copy(left, top, right, bottom) {
    const wide = Math.max(0, right - left);
    const out = new Uint8Array(wide * Math.max(0, bottom - top));
    for (let row = top; row < bottom; row++) {
      const from = row * this.width + left;
      out.set(this.mask.subarray(from, from + wide), (row - top) * wide);
    }
    return out;
  }

  undo() {
    if (this.points.length) this.points.pop();
    else if (this.history.length) {
      const { left, top, right, bottom, before, startPosition } = this.history.pop();
      this.startPosition = startPosition;
      const wide = right - left;
      for (let row = top; row < bottom; row++) {
        this.mask.set(before.subarray((row - top) * wide, (row - top + 1) * wide), row * this.width + left);
      }
      this.retrace();
    }
    this.changed();
  }

  /** Go on from another mask (null: empty), as one step that can be undone. */
  restart(mask, position) {
    this.points = [];
    this.begin({ left: 0, top: 0, right: this.width, bottom: this.height });
    this.startPosition = position;
    if (mask) this.mask.set(mask);
    else this.mask.fill(0);
    this.retrace();
    this.changed();
  }

  retrace() {
    this.path = pathOf(this.mask, this.width, this.height);
  }

  resize(step) {
    this.radius = Math.max(1, Math.min(this.width / 4, Math.round(this.radius * (step > 0 ? 1.25 : 0.8)) + (step > 0 ? 1 : 0)));
    this.changed();
  }

  /** Close the open polygon; false if there is none to close. */
  finish() {
    if (this.points.length < 3) return false;
    const points = this.points;
    this.points = [];
    this.begin(boxAround(points));
    fillPolygon(this.mask, this.width, this.height, points, this.erase ? 0 : 1);
    this.retrace();
    this.changed();
    return true;
  }

  discardPolygon() {
    this.points = [];
    this.changed();
  }

  press(point) {
    this.cursor = point;
    if (this.shape === "brush") {
      this.stroke = { points: [point], box: null, before: this.mask.slice() };
      this.paintTo(point, point);
    } else {
      const [first] = this.points;
      const near = first && Math.hypot(first[0] - point[0], first[1] - point[1]) * this.viewer.scale < CLOSE_PIXELS;
      if (near && this.points.length >= 3) {
        this.finish();
        return;
      }
      const last = this.points[this.points.length - 1];
      if (!last || Math.hypot(last[0] - point[0], last[1] - point[1]) * this.viewer.scale > 1.5) this.points.push(point);
    }
    this.changed();
  }

  drag(point) {
    this.cursor = point;
    if (this.stroke) {
      const last = this.stroke.points[this.stroke.points.length - 1];
      this.stroke.points.push(point);
      this.paintTo(last, point);
    } else if (this.shape === "polygon" && this.points.length) {
      const last = this.points[this.points.length - 1]; // a dragged polygon is drawn freehand
      if (Math.hypot(last[0] - point[0], last[1] - point[1]) * this.viewer.scale > 6) this.points.push(point);
    }
    this.changed();
  }

  paintTo(from, to) {
    const box = fillStroke(this.mask, this.width, this.height, from, to, this.radius, this.erase ? 0 : 1);
    const all = this.stroke.box;
    this.stroke.box = all
      ? {
          left: Math.min(all.left, box.left),
          top: Math.min(all.top, box.top),
          right: Math.max(all.right, box.right),
          bottom: Math.max(all.bottom, box.bottom),
        }
      : box;
  }

  release() {
    if (!this.stroke) return;
    const { box, before } = this.stroke;
    const after = this.mask;
    this.stroke = null;
    this.mask = before;
    this.begin(box);
    this.mask = after;
    this.retrace();
    this.changed();
  }

  /** A second finger came: what the first one began is taken back. */
  cancel() {
    if (this.stroke) {
      this.mask = this.stroke.before;
      this.stroke = null;
    } else this.points.pop();
    this.changed();
  }

  hover(point) {
    this.cursor = point;
    this.viewer.draw();
  }

  /** Move the crosshair by CSS pixels: drawing from the keyboard. */
  nudge(dx, dy) {
    const [x, y] = this.cursor ?? [this.width / 2, this.height / 2];
    const step = 1 / this.viewer.scale;
    this.cursor = [
      Math.min(this.width, Math.max(0, x + dx * step)),
      Math.min(this.height, Math.max(0, y + dy * step)),
    ];
    this.viewer.reveal(this.cursor);
    this.viewer.draw();
  }

  /** A corner or a dab of the brush at the crosshair. */
  mark() {
    const point = this.cursor ?? [this.width / 2, this.height / 2];
    this.press(point);
    this.release();
  }

  paint(context, viewer, colour, opacity) {
    const line = 1 / viewer.scale;
    if (this.stroke) this.paintStroke(context, colour);
    context.fillStyle = colour;
    context.globalAlpha = opacity;
    context.fill(this.path, "evenodd");
    context.globalAlpha = 1;
    context.lineWidth = 2 * line;
    context.strokeStyle = colour;
    context.stroke(this.path);
    if (this.points.length) this.paintPolygon(context, line);
    if (this.cursor) this.paintCursor(context, line);
  }

  paintStroke(context, colour) {
    const { points } = this.stroke;
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = 2 * this.radius;
    context.strokeStyle = this.erase ? "#000" : colour;
    context.globalAlpha = 0.45;
    context.stroke();
    context.globalAlpha = 1;
  }

  paintPolygon(context, line) {
    const all = this.cursor ? [...this.points, this.cursor] : this.points;
    context.setLineDash(this.erase ? [6 * line, 4 * line] : []);
    for (const [colour, width] of [["#000a", 4], ["#f0e6c8", 1.5]]) {
      context.beginPath();
      all.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.lineWidth = width * line;
      context.strokeStyle = colour;
      context.stroke();
    }
    context.setLineDash([]);
    context.fillStyle = "#f0e6c8";
    this.points.forEach(([x, y], i) => {
      context.beginPath();
      context.arc(x, y, (i ? 2.5 : 4.5) * line, 0, 2 * Math.PI);
      context.fill();
    });
  }

  paintCursor(context, line) {
    const [x, y] = this.cursor;
    context.beginPath();
    if (this.shape === "brush") context.arc(x, y, this.radius, 0, 2 * Math.PI);
    else {
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 4 * dx * line, y + 4 * dy * line);
        context.lineTo(x + 11 * dx * line, y + 11 * dy * line);
      }
    }
    context.setLineDash(this.erase ? [4 * line, 3 * line] : []);
    for (const [colour, width] of [["#000a", 3.5], ["#f0e6c8", 1.25]]) {
      context.lineWidth = width * line;
      context.strokeStyle = colour;
      context.stroke();
    }
    context.setLineDash([]);
  }
}
