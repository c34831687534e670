// The status page: progress of all readers, agreement and tally, as the server gives them.

import { get } from "./api.js";
import { $, element, minutes, say } from "./panel.js";

function tableOf(columns, rows) {
  const head = element("tr", {}, ...columns.map((name) => element("th", { scope: "col", textContent: name.replaceAll("_", " ") })));
  const body = rows.map((row) => element("tr", {}, ...row.map(cell)));
  return [element("thead", {}, head), element("tbody", {}, ...body)];
}

function cell(value) {
  if (value instanceof Node) return element("td", {}, value);
  const made = element("td", { textContent: value });
  if (/^-?[\d.]+$/.test(value)) made.className = "number";
  return made;
}

async function load() {
  try {
    const status = await get("/api/status");
    $("message").textContent = "";
    $("name").textContent = status.name;
    say("withheld", status.withheld ?? "");
    const rows = status.progress.map((one) => [
      one.reader,
      element("progress", { max: Math.max(1, one.done + one.left), value: one.done }),
      String(one.done),
      String(one.left),
      one.seconds_per_film === null ? "" : minutes(one.seconds_per_film),
      one.seconds_per_film === null || !one.left ? "" : minutes(one.seconds_left),
    ]);
    $("progress").replaceChildren(...tableOf(["reader", "", "done", "left", "a film", "time left"], rows));
    $("tables").replaceChildren(
      ...status.tables.map(({ title, about, columns, rows: found }) =>
        element(
          "section",
          {},
          element("h2", { textContent: title }),
          element("p", { className: "small", textContent: about }),
          found.length
            ? element("div", { className: "scroll" }, element("table", {}, ...tableOf(columns, found)))
            : element("p", { textContent: "Nothing to compare yet." }),
        ),
      ),
    );
  } catch (error) {
    $("message").textContent = error.message;
  }
}

$("refresh").addEventListener("click", load);
load();
