// The way through the test: the server says what comes next, also after a reload.

import { Refused, get, memory, post, random, sendPending } from "./api.js";
import { headphones, hearing, volume } from "./checks.js";
import { banner, h, paragraphs, progress, show } from "./dom.js";
import { isOpen, unlock } from "./sound.js";
import { trial } from "./trial.js";

const beginOf = (test) => `unmask-begin-${test}`;
const CHECKS = { volume, headphones, hearing };

/** Wait for the click that lets sound begin. */
function clicked(text, ...children) {
  return new Promise((resolve) => {
    const go = h("button", { class: "primary", id: "next", onclick: async () => {
      go.disabled = true;
      await unlock();
      resolve();
    } }, text);
    show(...children, h("div", { class: "footer" }, go));
  });
}

async function consent(state) {
  const { texts } = state;
  const agree = h("input", { type: "checkbox", id: "agree" });
  await new Promise((resolve) => {
    const go = h("button", { class: "primary", id: "next", disabled: true, onclick: async () => {
      go.disabled = true;
      await unlock();
      resolve();
    } }, "Begin");
    agree.addEventListener("change", () => { go.disabled = !agree.checked; });
    show(h("h1", {}, "Welcome"), ...paragraphs(texts.welcome),
      h("section", { class: "card" }, h("h2", {}, "Consent"), ...paragraphs(texts.consent),
        h("label", { class: "agree" }, agree, " I have read this and agree to take part")),
      h("div", { class: "footer" }, go));
  });
  // The same in every tab and after a reload, so that one browser is one listener.
  const begin = memory.get(beginOf(state.test)) ?? random();
  memory.set(beginOf(state.test), begin);
  return post("api/session", { consent: true, begin });
}

async function training(state) {
  await trial({
    test: state.test,
    position: 0,
    heading: "How it works",
    intro: [...paragraphs(state.texts.instructions),
      h("p", { class: "quiet" }, "Try it here: this page does not count.")],
    button: "Start the test",
  });
  return post("api/notes", { step: "training" });
}

async function page(state) {
  const { n_pages: total, position } = state;
  try {
    const result = await trial({
      test: state.test, position, heading: `Page ${position} of ${total}`, button: "Next",
    });
    banner(result === true ? "" : result);
  } catch (error) {
    if (!(error instanceof Refused && error.status === 409)) throw error;
    banner("This page was answered in another window.");
  }
  return get("api/state");
}

function end(state) {
  const refused = state.stage === "refused";
  show(h("h1", {}, refused ? "Sorry" : "Thank you"), ...(refused
    ? [h("p", {}, "This test needs headphones, and the check did not find any. Thank you all the same.")]
    : paragraphs(state.texts.thanks)),
  h("p", {}, h("button", { class: "link", id: "another", onclick: async () => {
    await post("api/leave", {});
    memory.forget(beginOf(state.test));
    location.reload();
  } }, "Another listener takes the test on this computer")));
}

function showProgress(state) {
  const { steps, stage, n_pages: n, n_answered: done = 0 } = state;
  const total = steps.length + n;
  const at = { consent: 0, page: steps.length + done, done: total };
  const text = { page: `${done} of ${n} pages`, done: "done" }[stage] ?? "";
  const passed = at[stage] ?? steps.indexOf(stage);
  if (stage === "consent" || stage === "refused") progress(0, 0, "");
  else progress(passed, total, text || `step ${passed + 1} of ${steps.length}`);
}

async function run() {
  let state = await get("api/state");
  document.title = state.texts.title;
  document.getElementById("title").textContent = state.texts.title;
  await sendPending(state.test);
  if (state.stage === "page") state = await get("api/state");
  for (;;) {
    showProgress(state);
    if (state.stage === "done" || state.stage === "refused") return end(state);
    if (state.stage !== "consent" && !isOpen()) {
      await clicked("Go on", h("h1", {}, "Welcome back"),
        h("p", {}, "You can go on where you left off. Please put on your headphones."));
    }
    if (state.stage === "consent") state = await consent(state);
    else if (state.stage === "training") state = await training(state);
    else if (state.stage === "page") state = await page(state);
    else state = await post("api/notes", await CHECKS[state.stage]());
  }
}

async function start() {
  try {
    await run();
  } catch (error) {
    const text = error instanceof Refused ? error.message : `${error}`;
    show(h("h1", {}, "Something went wrong"), h("p", {}, text),
      h("div", { class: "footer" }, h("button", {
        class: "primary", id: "next", onclick: () => location.reload(),
      }, "Try again")));
  }
}

// A page that the browser kept for the back button is older than what the server knows.
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
start();
