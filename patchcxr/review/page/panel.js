// What the page says beside the film. All text goes in as text, never as markup.

import { HELP } from "./keys.js";

export const COLOURS = ["#56b4e9", "#e69f00", "#e58ac0", "#e8dc5a", "#62c79b", "#dd7a50", "#a79be8", "#c4c8cc", "#b98a63"];
export const OWN_COLOUR = "#9be0d0";

export const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

export function colourOf(position) {
  return position === 0 ? OWN_COLOUR : COLOURS[(position - 1) % COLOURS.length];
}

const QUESTIONS = {
  choose: (target) => `Which mask outlines the ${target} best?`,
  verify: (target) => `Does this mask outline the ${target}?`,
  adjudicate: (target) => `The readers differ. Which mask outlines the ${target}?`,
};

const SAID = {
  choose: (decision) => `You chose ${decision.position ?? "a mask"}.`,
  draw: () => "You drew a mask.",
  reject: () => "You rejected all masks.",
  unsure: () => "You were unsure.",
  exclude: () => "You excluded this film.",
};

export function question(task, target) {
  if (task.decision) return `${SAID[task.decision.action](task.decision)} Deciding again replaces it.`;
  if (task.film.problem) return "This film cannot be read.";
  if (!task.candidates) return `No mask was proposed. Draw the ${target}, or say why not.`;
  return (QUESTIONS[task.candidates === 1 && task.kind === "choose" ? "verify" : task.kind] ?? QUESTIONS.choose)(target);
}

export function minutes(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function showProgress(progress) {
  const { done, left, seconds_per_film: each, seconds_left: rest } = progress;
  $("bar").max = Math.max(1, done + left);
  $("bar").value = done;
  const parts = [`${done} of ${done + left} films`];
  if (each !== null && left) parts.push(`${minutes(each)} a film`, `about ${minutes(rest)} left`);
  $("progress-text").textContent = parts.join(" · ");
}

/** Buttons of the candidates; shown: [{position, mask, path}]. */
export function showCandidates(shown, viewer, said, select) {
  $("candidates").replaceChildren(
    ...shown.map(({ position, path }) => {
      const number = element("span", { className: "number", textContent: position || "✎" });
      number.style.background = colourOf(position);
      const button = element("button", { type: "button", className: "candidate" }, thumbnail(viewer, path, colourOf(position)), number);
      button.dataset.position = position;
      button.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-label", position ? `Mask ${position}` : "Your drawn mask");
      if (position === said) button.append(element("span", { className: "said", textContent: "yours" }));
      button.addEventListener("click", () => select(position));
      return button;
    }),
  );
}

function thumbnail(viewer, path, colour) {
  const { width, height } = viewer.film;
  const scale = 176 / Math.max(width, height);
  const canvas = element("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(viewer.source, 0, 0, canvas.width, canvas.height);
  context.scale(scale, scale);
  context.fillStyle = context.strokeStyle = colour;
  context.globalAlpha = 0.4;
  context.fill(path, "evenodd");
  context.globalAlpha = 1;
  context.lineWidth = 1.5 / scale;
  context.stroke(path);
  return canvas;
}

export function markSelected(selected) {
  for (const button of $("candidates").children) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.position) === selected));
  }
}

const STATES = { open: "to do", done: "done", problem: "problem" };

export function showQueue(queue, current, open) {
  const done = queue.filter((entry) => entry.state === "done").length;
  const problems = queue.filter((entry) => entry.state === "problem").length;
  $("queue-count").textContent = `${done} of ${queue.length} done${problems ? `, ${problems} with a problem` : ""}`;
  if (!$("queue-box").open) return;
  $("queue").replaceChildren(
    ...queue.map(({ film, state, reason }) => {
      const button = element(
        "button",
        { type: "button" },
        element("span", { className: "name", textContent: film }),
        element("span", { className: "state", textContent: STATES[state] ?? state }),
      );
      if (film === current) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => open(film));
      const item = element("li", {}, button);
      if (reason) item.append(element("span", { className: "reason", textContent: reason }));
      return item;
    }),
  );
  $("queue").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

export function fillHelp() {
  for (const [place, [title, ...rows]] of Object.entries(HELP)) {
    const list = $(`help-${place}`);
    list.append(element("h3", { textContent: title }));
    for (const [key, what] of rows) {
      list.append(element("dt", {}, element("kbd", { textContent: key })), element("dd", { textContent: what }));
    }
  }
}

export function say(id, text) {
  $(id).textContent = text;
  $(id).hidden = !text;
}

/** Show whether a toggle is on. */
export function press(name, on) {
  document.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String(on));
}
