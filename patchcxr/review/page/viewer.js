// The film on a canvas: grey levels through a window, zoom, pan, overlays. All positions are film pixels.

const MOST_ZOOM = 40;

/** Grey (0 to 255) of every level under a window, as packed opaque pixels for ImageData. */
export function lookupTable(bits, centre, width, inverted) {
  const table = new Uint32Array(1 << bits);
  const low = centre - width / 2;
  for (let level = 0; level < table.length; level++) {
    let grey = Math.min(255, Math.max(0, Math.round(((level - low) / width) * 255)));
    if (inverted) grey = 255 - grey;
    table[level] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return table;
}

export class Viewer {
  /** options.onWindow is called when the window changes, options.paintOver(context, viewer) after the film is drawn. */
  constructor(canvas, options) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.options = options;
    this.film = null;
    this.source = document.createElement("canvas");
    this.scale = 1; // CSS pixels a film pixel
    this.left = 0; // CSS position of the film's outer corner
    this.top = 0;
    this.fitted = true;
    this.inverted = false;
    this.tool = null; // a drawing tool takes the primary pointer
    this.pointers = new Map();
    this.grip = null;
    this.waiting = false;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.listen();
  }

  /** film: {levels, bits, columns, rows, factor, width, height, centre, windowWidth}; null clears. */
  show(film) {
    this.film = film;
    this.inverted = false;
    if (film) {
      this.source.width = film.columns;
      this.source.height = film.rows;
      this.resetWindow();
      this.fit();
    } else {
      this.draw();
    }
  }

  resetWindow() {
    if (this.film) this.setWindow(this.film.centre, this.film.windowWidth);
  }

  setWindow(centre, width) {
    if (!this.film) return;
    const levels = 2 ** this.film.bits;
    this.centre = Math.min(levels, Math.max(0, centre));
    this.width = Math.min(2 * levels, Math.max(1, width));
    this.stale = true;
    this.options.onWindow?.();
    this.draw();
  }

  /** Move centre and width by shares of the film's own window. */
  changeWindow(centreShare, widthShare) {
    if (!this.film) return;
    const unit = this.film.windowWidth;
    this.setWindow(this.centre + centreShare * unit, this.width * Math.exp(widthShare));
  }

  invert() {
    this.inverted = !this.inverted;
    this.stale = true;
    this.options.onWindow?.();
    this.draw();
  }

  fit() {
    this.fitted = true;
    if (!this.film) return;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const margin = 8;
    this.scale = Math.min((width - 2 * margin) / this.film.width, (height - 2 * margin) / this.film.height);
    this.scale = Math.max(this.scale, 1e-3);
    this.left = (width - this.film.width * this.scale) / 2;
    this.top = (height - this.film.height * this.scale) / 2;
    this.draw();
  }

  /** Zoom by a factor so that the film stays where it is under the point (CSS pixels; the middle by default). */
  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    if (!this.film) return;
    const fit = Math.min(this.canvas.clientWidth / this.film.width, this.canvas.clientHeight / this.film.height);
    const scale = Math.min(MOST_ZOOM, Math.max(fit / 4, this.scale * factor));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.keepInSight();
  }

  pan(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.fitted = false;
    this.keepInSight();
  }

  keepInSight() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const edge = 60; // CSS pixels of the film that stay in sight
    this.left = Math.min(width - edge, Math.max(edge - this.film.width * this.scale, this.left));
    this.top = Math.min(height - edge, Math.max(edge - this.film.height * this.scale, this.top));
    this.draw();
  }

  /** Film position [x, y] of an event or of CSS pixels in the canvas. */
  toFilm(x, y) {
    return [(x - this.left) / this.scale, (y - this.top) / this.scale];
  }

  toScreen([x, y]) {
    return [x * this.scale + this.left, y * this.scale + this.top];
  }

  /** Pan so that a film position is on the canvas. */
  reveal(point) {
    const [x, y] = this.toScreen(point);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const dx = x < 20 ? 20 - x : x > width - 20 ? width - 20 - x : 0;
    const dy = y < 20 ? 20 - y : y > height - 20 ? height - 20 - y : 0;
    if (dx || dy) this.pan(dx, dy);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (this.fitted) this.fit();
    this.paint(); // at once: a resized canvas is blank
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const { context, canvas, film } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!film) return;
    if (this.stale) this.render();
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.left, ratio * this.top);
    context.imageSmoothingEnabled = this.scale * ratio < 6; // beyond that the single pixels are shown
    context.imageSmoothingQuality = "high";
    context.drawImage(this.source, 0, 0, film.columns * film.factor, film.rows * film.factor);
    this.options.paintOver?.(context, this);
  }

  render() {
    const { film } = this;
    const table = lookupTable(film.bits, this.centre, this.width, this.inverted);
    const image = new ImageData(film.columns, film.rows);
    const out = new Uint32Array(image.data.buffer);
    const levels = film.levels;
    for (let i = 0; i < out.length; i++) out[i] = table[levels[i]];
    this.source.getContext("2d").putImageData(image, 0, 0);
    this.stale = false;
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const step = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
        this.zoom(Math.exp(-Math.max(-200, Math.min(200, step)) * 0.0015), ...this.place(event));
      },
      { passive: false },
    );
    canvas.addEventListener("dblclick", (event) => {
      if (this.tool) this.tool.finish?.();
      else this.fit();
      event.preventDefault();
    });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.release(event));
    canvas.addEventListener("pointerleave", () => this.tool?.hover(null));
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  press(event) {
    if (!this.film) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    if (this.pointers.size === 2) {
      this.tool?.cancel();
      this.grip = { kind: "pinch", ...this.pinch() };
    } else if (event.button === 2) {
      this.grip = { kind: "window", centre: this.centre, width: this.width, from: this.place(event) };
    } else if (this.tool && event.button === 0 && !event.shiftKey) {
      this.grip = { kind: "tool" };
      this.tool.press(this.toFilm(...this.place(event)), event);
    } else {
      this.grip = { kind: "pan", from: this.place(event) };
    }
  }

  pinch() {
    const [a, b] = [...this.pointers.values()];
    return { middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], apart: Math.hypot(a[0] - b[0], a[1] - b[1]) || 1 };
  }

  move(event) {
    if (!this.film) return;
    const at = this.place(event);
    if (!this.pointers.has(event.pointerId)) {
      this.tool?.hover(this.toFilm(...at));
      return;
    }
    this.pointers.set(event.pointerId, at);
    const grip = this.grip;
    if (grip?.kind === "pinch" && this.pointers.size === 2) {
      const now = this.pinch();
      this.pan(now.middle[0] - grip.middle[0], now.middle[1] - grip.middle[1]);
      this.zoom(now.apart / grip.apart, ...now.middle);
      this.grip = { kind: "pinch", ...now };
    } else if (grip?.kind === "window") {
      const unit = this.film.windowWidth / 400; // 400 CSS pixels across are one width of the window
      this.setWindow(
        grip.centre - (grip.from[1] - at[1]) * unit,
        grip.width * Math.exp((at[0] - grip.from[0]) / 250),
      );
    } else if (grip?.kind === "tool") {
      const steps = event.getCoalescedEvents?.() ?? [];
      for (const step of steps.length ? steps : [event]) this.tool?.drag(this.toFilm(...this.place(step)));
    } else if (grip?.kind === "pan") {
      this.pan(at[0] - grip.from[0], at[1] - grip.from[1]);
      grip.from = at;
    }
  }

  release(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.grip?.kind === "tool") this.tool?.release();
    this.grip = this.pointers.size ? { kind: "rest" } : null;
  }
}
