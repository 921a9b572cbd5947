// The page: an index of recordings, and for the one that is chosen the player and what is known.

import { clock, decibels, h } from "./dom.js";
import { decoded } from "./sounds.js";
import { View, listenForKeys } from "./view.js";
import { gapFigure, scoresTable } from "./charts.js";

const data = JSON.parse(document.getElementById("data").textContent);
const main = document.getElementById("main");
let view = null;

/** Show a recording of the page. */
async function show(place) {
  const recording = data.recordings[place];
  view?.close();
  view = null;
  const body = document.getElementById("recording");
  body.replaceChildren(h("p", { class: "quiet" }, "Decoding …"));
  for (const link of document.querySelectorAll("nav a")) {
    const own = link.hash === `#${place + 1}`;
    if (own) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  try {
    const buffers = await decoded(recording);
    if (place !== chosen()) return; // another was chosen meanwhile
    const gap = h("div", {});
    view = new View(recording, buffers, {
      reference: data.bare ? "first" : "mixture",
      stem: (stem) => {
        const figure = gapFigure(recording, stem);
        gap.replaceChildren(...(figure ? [h("h3", {}, stem.name), ...figure] : []));
      },
    });
    const scores = scoresTable(recording);
    body.replaceChildren(
      ...(data.recordings.length > 1 ? [h("h2", {}, recording.name)] : []),
      ...(data.bare ? [] : [h("p", { class: "quiet note" }, recording.note)]),
      view.element,
      ...(scores ? [h("section", {}, h("h2", {}, "Scores"), scores)] : []),
      ...(recording.gap.length ? [h("section", { class: "gap" }, h("h2", {}, "Where the decibels are"),
        h("p", {}, "What was won of the way from the mixture to the best that such masks can do, by octave; "
          + "and where the estimate would be with the true magnitude or the true phase."), gap)] : []));
    document.documentElement.dataset.ready = place + 1;
  } catch (error) {
    body.replaceChildren(h("p", { role: "alert" }, `The sounds cannot be decoded: ${error.message ?? error}. `
      + "A current Chromium or Firefox does."));
    document.documentElement.dataset.failed = "true";
  }
}

function index() {
  if (data.recordings.length < 2) return null;
  const names = [...new Set(data.recordings.flatMap(({ stems }) => stems.filter(({ scores }) => scores.estimate).map(({ name }) => name)))];
  return h("nav", { "aria-label": "Recordings", class: "wide" }, h("table", {},
    h("caption", {}, names.length ? "Recordings, and the SDR of their estimates in dB" : "Recordings"),
    h("thead", {}, h("tr", {}, ["recording", "length", ...names].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, data.recordings.map((recording, k) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: `#${k + 1}` }, recording.name)),
      h("td", {}, clock(recording.duration)),
      names.map((name) => h("td", {}, decibels(recording.stems.find((stem) => stem.name === name)?.scores.estimate?.SDR))))))));
}

const chosen = () => Math.min(data.recordings.length, Math.max(1, Number(location.hash.slice(1)) || 1)) - 1;

main.replaceChildren(
  ...(data.bare ? [] : [h("header", {}, h("h1", {}, data.title))]),
  ...[index()].filter(Boolean), h("div", { id: "recording" }));

window.addEventListener("hashchange", () => show(chosen()));
listenForKeys(() => view);
let pending = 0;
const redraw = () => { cancelAnimationFrame(pending); pending = requestAnimationFrame(() => view?.tracks.draw()); };
window.addEventListener("resize", redraw);
for (const feature of ["(prefers-color-scheme: dark)", "print"]) {
  matchMedia(feature).addEventListener("change", () => view?.tracks.draw());
}
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("section details")) details.open = true;
});
show(chosen());
