// Decisions on their way. Each is kept in localStorage from before it is sent until the server has answered, and is
// sent again under the same key: the server stores it once, however often it arrives.

const WAITS = [1000, 2000, 4000, 8000]; // milliseconds before the next try; the last one repeats

export class Pending {
  /**
   * send(item) -> promise; on.change() after every change; on.stored(item, answer); on.refused(item, error) when
   * the server will not take it; on.login(error) when it asks who is there (the item stays).
   */
  constructor(reader, send, on) {
    this.place = `patchcxr-review-pending:${reader}`;
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
      return JSON.parse(localStorage.getItem(this.place) ?? "[]");
    } catch {
      return [];
    }
  }

  keep() {
    try {
      if (this.items.length) localStorage.setItem(this.place, JSON.stringify(this.items));
      else localStorage.removeItem(this.place);
      this.kept = true;
    } catch {
      this.kept = false; // no room, or storage is switched off: said on the page
    }
    this.on.change();
  }

  add(item) {
    this.items.push(item);
    this.keep();
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
    try {
      const answer = await this.send(item);
      this.done();
      this.on.stored(item, answer);
    } catch (error) {
      this.busy = false;
      this.problem = error.message;
      if (error.status === 401) this.on.login(error);
      else if (error.passing ?? false) {
        this.timer = setTimeout(() => this.flush(), WAITS[Math.min(this.tries++, WAITS.length - 1)]);
      } else {
        this.done();
        this.on.refused(item, error);
      }
      this.on.change();
      return;
    }
    this.busy = false;
    if (this.items.length) this.flush();
  }

  done() {
    this.items.shift();
    this.tries = 0;
    this.busy = false;
    this.problem = null;
    this.keep();
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
