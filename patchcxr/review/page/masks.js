// Geometry of masks: Uint8Array of 0 and 1, row by row; points are [x, y] in film pixels, (0, 0) the outer corner
// of the first pixel, whose centre is (0.5, 0.5).

/** Smallest box {left, top, right, bottom} (right and bottom excluded) around the mask; null if it is empty. */
export function boundsOf(mask, width, height) {
  let left = width;
  let right = 0;
  let top = -1;
  let bottom = 0;
  for (let row = 0; row < height; row++) {
    const from = row * width;
    const line = mask.subarray(from, from + width);
    const first = line.indexOf(1);
    if (first < 0) continue;
    if (top < 0) top = row;
    bottom = row + 1;
    left = Math.min(left, first);
    right = Math.max(right, line.lastIndexOf(1) + 1);
  }
  return top < 0 ? null : { left, top, right, bottom };
}

/** Number of pixels of the mask. */
export function areaOf(mask) {
  let area = 0;
  for (let i = 0; i < mask.length; i++) area += mask[i];
  return area;
}

/** The part of box that lies on the film, in whole pixels. */
export function clip(box, width, height) {
  return {
    left: Math.max(0, Math.floor(box.left)),
    top: Math.max(0, Math.floor(box.top)),
    right: Math.min(width, Math.ceil(box.right)),
    bottom: Math.min(height, Math.ceil(box.bottom)),
  };
}

/** Box around points, with a margin. */
export function boxAround(points, margin = 0) {
  const xs = points.map((p) => p[0]);
  const ys = points.map((p) => p[1]);
  return {
    left: Math.min(...xs) - margin,
    top: Math.min(...ys) - margin,
    right: Math.max(...xs) + margin + 1,
    bottom: Math.max(...ys) + margin + 1,
  };
}

/** Set to value the pixels whose centres lie within the polygon (even-odd rule). */
export function fillPolygon(mask, width, height, points, value) {
  const { top, bottom } = clip(boxAround(points), width, height);
  for (let row = top; row < bottom; row++) {
    const y = row + 0.5;
    const cuts = [];
    for (let i = 0; i < points.length; i++) {
      const [x1, y1] = points[i];
      const [x2, y2] = points[(i + 1) % points.length];
      if (y1 <= y !== y2 <= y) cuts.push(x1 + ((y - y1) / (y2 - y1)) * (x2 - x1));
    }
    cuts.sort((a, b) => a - b);
    for (let i = 0; i + 1 < cuts.length; i += 2) {
      const first = Math.max(0, Math.ceil(cuts[i] - 0.5));
      const last = Math.min(width, Math.ceil(cuts[i + 1] - 0.5));
      if (last > first) mask.fill(value, row * width + first, row * width + last);
    }
  }
}

/** Set to value the pixels whose centres lie within radius of the line from a to b. */
export function fillStroke(mask, width, height, a, b, radius, value) {
  const box = clip(boxAround([a, b], radius), width, height);
  const dx = b[0] - a[0];
  const dy = b[1] - a[1];
  const length = dx * dx + dy * dy;
  for (let row = box.top; row < box.bottom; row++) {
    for (let column = box.left; column < box.right; column++) {
      const px = column + 0.5 - a[0];
      const py = row + 0.5 - a[1];
      const t = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      const x = px - t * dx;
      const y = py - t * dy;
      if (x * x + y * y <= radius * radius) mask[row * width + column] = value;
    }
  }
  return box;
}

const STEP = [[1, 0], [0, 1], [-1, 0], [0, -1]]; // east, south, west, north

/**
 * Closed outlines of the mask: a list of loops of [x, y], through the middles of the pixels' edges, so that a drawn
 * line runs on the border and looks smooth. Outer loops turn clockwise on the screen, holes the other way.
 */
export function outlines(mask, width, height) {
  const box = boundsOf(mask, width, height);
  if (!box) return [];
  const stride = box.right - box.left + 1;
  const edges = new Uint8Array(stride * (box.bottom - box.top + 1)); // a bit a direction in which an edge leaves
  const at = (row, column) =>
    row >= box.top && row < box.bottom && column >= box.left && column < box.right && mask[row * width + column];
  for (let row = box.top; row < box.bottom; row++) {
    for (let column = box.left; column < box.right; column++) {
      if (!mask[row * width + column]) continue;
      const corner = (row - box.top) * stride + column - box.left;
      if (!at(row - 1, column)) edges[corner] |= 1;
      if (!at(row, column + 1)) edges[corner + 1] |= 2;
      if (!at(row + 1, column)) edges[corner + stride + 1] |= 4;
      if (!at(row, column - 1)) edges[corner + stride] |= 8;
    }
  }
  const loops = [];
  for (let start = 0; start < edges.length; start++) {
    while (edges[start]) loops.push(walk(edges, start, stride, box));
  }
  return loops;
}

function walk(edges, start, stride, box) {
  const loop = [];
  let corner = start;
  let heading = Math.log2(edges[corner] & -edges[corner]);
  let before = -1;
  let middle = null;
  do {
    // Where two pixels touch at a corner, the turn to the right keeps them apart.
    if (before >= 0) heading = [1, 0, 3].map((turn) => (before + turn) % 4).find((way) => edges[corner] & (1 << way));
    edges[corner] &= ~(1 << heading);
    const [dx, dy] = STEP[heading];
    const x = (corner % stride) + box.left;
    const y = Math.floor(corner / stride) + box.top;
    const next = [x + dx / 2, y + dy / 2];
    if (heading !== before) {
      if (middle) loop.push(middle);
      loop.push(next);
    }
    middle = next;
    before = heading;
    corner += dx + dy * stride;
  } while (corner !== start);
  loop.push(middle);
  return loop;
}

/** A Path2D of the outlines, in film pixels; fill it with the even-odd rule. */
export function pathOf(mask, width, height) {
  const path = new Path2D();
  for (const loop of outlines(mask, width, height)) {
    loop.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
  }
  return path;
}
