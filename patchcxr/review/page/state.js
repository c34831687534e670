// What the page knows now.

export const RETRY = 2000; // milliseconds before a film is asked for again
export const SETTLE = 300; // milliseconds in which a new film takes no decision: the key was meant for the old one

export const state = {
  me: null,
  round: null,
  task: null,
  mode: "loading", // loading | choosing | problem | drawing | sending | done
  turn: 0, // counts the films asked for; answers to older ones are dropped
  shown: [], // {position, mask, path, loops} of the candidates, and position 0 for the reader's own drawing
  selected: null,
  overlays: true,
  filled: false,
  opacity: 0.3,
  queue: [],
  skipped: new Set(),
  drawing: null,
  sure: null, // what a second press of the same key will do
  seconds: 0,
  since: 0,
  settled: 0,
};

/** Change the mode together with what depends on it. */
export function settle(mode) {
  Object.assign(state, { mode, seconds: 0, since: performance.now(), settled: performance.now() + SETTLE });
}
