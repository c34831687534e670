// Decisions on their way. Each is kept in localStorage from before it is sent until the server has answered, and is
// sent again under the same key: the server stores it once, however often it arrives. Each has a place of its own there,
// so that two tabs of one reader do not remove each other's.

const WAITS = [1000, 2000, 4000, 8000]; // milliseconds before the next try; the last one repeats

export class Pending {
  /**
   * send(item) -> promise; on.change() after every change; on.stored(item, answer); on.refused(item, error) when
   * the server will not take it; on.login(error) when it asks who is there (the item stays).
   */
  constructor(reader, send, on) {
    this.prefix = `patchcxr-review-pending:${encodeURIComponent(reader)}:`;
    this.send = send;
    this.on = on;
    this.items = this.load();
    this.kept = true;
    this.tries = 0;
    this.busy = false;
    this.timer = null;
    this.problem = null;
    window.addEventListener("online", () => this.hurry());
  }

  load() {
    try {
      return Object.keys(localStorage)
        .filter((place) => place.startsWith(this.prefix))
        .map((place) => JSON.parse(localStorage.getItem(place)))
        .sort((a, b) => a.made - b.made);
    } catch {
      return [];
    }
  }

  placeOf(item) {
    return this.prefix + (item.body.undo_key ?? item.body.key);
  }

  add(item) {
    item.made = Date.now();
    this.items.push(item);
    try {
      localStorage.setItem(this.placeOf(item), JSON.stringify(item));
      this.kept = true;
    } catch {
      this.kept = false; // no room, or storage is switched off: said on the page
    }
    this.on.change();
    this.hurry();
  }

  hurry() {
    clearTimeout(this.timer);
    this.flush();
  }

  async flush() {
    if (this.busy || !this.items.length) return;
    this.busy = true;
    const item = this.items[0];
    let answer;
    try {
      answer = await this.send(item);
    } catch (error) {
      this.busy = false;
      this.problem = error.message;
      if (error.status === 401) this.on.login(error);
      else if (error.passing === false) {
        this.done();
        this.on.refused(item, error);
      } else {
        this.timer = setTimeout(() => this.flush(), WAITS[Math.min(this.tries++, WAITS.length - 1)]);
      }
      this.on.change();
      return;
    }
    this.done();
    this.on.stored(item, answer);
    if (this.items.length) this.flush();
  }

  done() {
    const item = this.items.shift();
    this.tries = 0;
    this.busy = false;
    this.problem = null;
    try {
      localStorage.removeItem(this.placeOf(item));
    } catch {
      // storage is switched off: nothing was kept
    }
    this.on.change();
  }
}

/** A random UUID, also where crypto.randomUUID is withheld (plain http on another host). */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [8, 12, 16, 20].reduceRight((text, at) => `${text.slice(0, at)}-${text.slice(at)}`, hex);
}
