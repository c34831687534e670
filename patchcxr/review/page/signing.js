// Who reads: signing in by token, and out.

import * as api from "./api.js";
import { pending, sendFor } from "./deciding.js";
import { goOn, retryLater } from "./films.js";
import { $, element, say } from "./panel.js";
import { state } from "./state.js";

export async function start() {
  const handed = new URLSearchParams(location.hash.slice(1)).get("token");
  if (handed) {
    history.replaceState(null, "", location.pathname); // the token does not stay in the address
    await api.login(handed).catch((error) => say("login-problem", error.message));
  }
  try {
    await enter(await api.me());
  } catch (error) {
    if (error.status === 401) askToken();
    else retryLater(start, error);
  }
}

async function enter(me) {
  state.me = me;
  $("login").hidden = true;
  $("review").hidden = false;
  $("logout").textContent = `Sign out ${me.reader}`;
  $("status-link").hidden = !me.adjudicator;
  $("round").replaceChildren(...me.rounds.map(({ round, name }) => element("option", { value: round, textContent: name })));
  $("round-label").hidden = me.rounds.length < 2;
  state.round = me.rounds[0]?.round ?? null;
  if (!sendFor(me.reader)) await goOn();
}

export function askToken() {
  $("login").hidden = false;
  $("review").hidden = true;
  $("token").focus();
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await api.login($("token").value);
    $("token").value = "";
    say("login-problem", "");
    const me = await api.me();
    if (state.me && state.me.reader !== me.reader) location.reload(); // nothing of one reader goes on under another
    else if (state.me) {
      $("login").hidden = true;
      $("review").hidden = false;
      pending.hurry();
      if (!pending.items.length) await goOn();
    } else await enter(me);
  } catch (error) {
    say("login-problem", error.message);
  }
});
