// Scores and the gap report: tables, and where in the band the decibels are.

import { decibels, h, svg } from "./dom.js";

const CASES = {
  mixture: { case: "mixture", text: "mixture", kind: "mixture" },
  model: { case: "model", text: "estimate", kind: "estimate" },
  phase: { case: "model magnitude, true phase", text: "with the true phase", kind: "phase" },
  magnitude: { case: "true magnitude, model phase", text: "with the true magnitude", kind: "magnitude" },
  family: { case: "family oracle", text: "oracle: the best of this kind of mask", kind: "oracle" },
};

const known = (value) => value !== null && value !== undefined && Number.isFinite(Number(value));

/** The table of scores of all stems. */
export function scoresTable(recording) {
  const scored = recording.stems.filter((stem) => stem.scores.estimate);
  if (!scored.length) return null;
  const metrics = Object.keys(scored[0].scores.estimate);
  const head = h("thead", {}, h("tr", {}, h("th", { scope: "col", rowspan: 2 }, "stem"),
    metrics.map((metric) => h("th", { scope: "colgroup", colspan: 4 }, `${metric} in dB`))),
  h("tr", {}, metrics.map(() => ["mixture", "estimate", "gained", "oracle"]
    .map((text) => h("th", { scope: "col" }, text)))));
  const rows = scored.map(({ name, scores }) => h("tr", {}, h("th", { scope: "row" }, name),
    metrics.map((metric) => {
      const [mixture, estimate, oracle] = ["mixture", "estimate", "oracle"].map((k) => scores[k]?.[metric]);
      const gained = known(mixture) && known(estimate) ? estimate - mixture : null;
      return [[decibels(mixture)], [decibels(estimate), "best"], [decibels(gained, true)], [decibels(oracle)]]
        .map(([text, kind]) => h("td", { class: kind }, text));
    })));
  return h("div", { class: "wide" }, h("table", {}, h("caption", {},
    "Over this stretch, all channels together. Higher is better; the oracle knows the truth."),
  head, h("tbody", {}, rows)));
}

/** Where the decibels of a stem are: a chart, and its numbers. */
export function gapFigure(recording, stem) {
  const bands = bandsOf(recording.gap.filter((cell) => cell.stem === stem.name));
  if (!bands.length) return null;
  return [chart(bands, stem.name), legend(), h("details", {}, h("summary", {}, "The numbers"), numbers(bands, stem.name))];
}

function bandsOf(cells) {
  const bands = new Map();
  for (const { case: name, low_hz: low, high_hz: high, sdr } of cells) {
    const key = `${low}-${high}`;
    if (!bands.has(key)) bands.set(key, { low, high, sdr: {} });
    bands.get(key).sdr[name] = sdr;
  }
  const all = [...bands.values()];
  const widest = Math.max(...all.map(({ low, high }) => high - low));
  all.forEach((band) => { band.whole = band.high - band.low === widest; });
  return [...all.filter((band) => band.whole), ...all.filter((band) => !band.whole)]
    .filter((band) => known(band.sdr.model));
}

const hertz = (hz) => (hz < 1000 ? `${Math.round(hz)}` : `${+(hz / 1000).toFixed(1)}k`);
const named = (band) => (band.whole ? "all" : `${hertz(band.low)}–${hertz(band.high)}`);

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [820, 300, 44, 44, 18];
const MOST_DB = 40;

/** The axis of decibels: from what is lowest to what is highest of all but the oracle, with room for it. */
function axis(bands) {
  const values = Object.values(CASES).flatMap(({ kind, case: name }) => bands.map(({ sdr }) => sdr[name])
    .filter(known).map(Number).filter((db) => kind !== "oracle" || db < MOST_DB));
  const clipped = values.map((db) => Math.min(MOST_DB, Math.max(-MOST_DB, db)));
  const low = 10 * Math.floor(Math.min(0, ...clipped) / 10);
  const high = Math.max(low + 10, 10 * Math.ceil(Math.max(...clipped) / 10));
  const y = (db) => TOP + ((high - Math.min(high, Math.max(low, db))) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  return { low, high, y };
}

/** Dots on a line for each band: from the mixture over the estimate to the oracle. */
function chart(bands, name) {
  const scale = axis(bands);
  const room = (WIDTH - LEFT) / bands.length;
  const parts = [];
  for (let db = scale.low; db <= scale.high; db += 10) {
    parts.push(svg("line", { class: db ? "grid" : "zero", x1: LEFT, x2: WIDTH, y1: scale.y(db), y2: scale.y(db) }),
      text(LEFT - 8, scale.y(db) + 4, `${db}`.replace("-", "−"), "end"));
  }
  bands.forEach((band, k) => parts.push(column(band, LEFT + room * (k + 0.5), scale),
    text(LEFT + room * (k + 0.5), HEIGHT - 22, named(band), "middle", band.whole ? "whole" : "")));
  if (bands[0].whole && bands.length > 1) {
    parts.push(svg("line", { class: "zero", x1: LEFT + room, x2: LEFT + room, y1: TOP, y2: HEIGHT - BOTTOM }));
  }
  parts.push(text((LEFT + WIDTH) / 2, HEIGHT - 4, "band in Hz", "middle"));
  return svg("svg", {
    class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": `SDR of ${name} in dB by octave: mixture, estimate and oracle; the numbers follow`,
  }, parts);
}

const text = (x, y, words, anchor, kind = "") => svg("text", {
  class: `scale ${kind}`, x, y, "text-anchor": anchor,
}, words);

/** What is known of one band. */
function column(band, x, { y, low, high }) {
  const cases = Object.entries(CASES).filter(([, { case: name }]) => known(band.sdr[name]) || band.sdr[name] === "Infinity");
  const at = Object.fromEntries(cases.map(([key, { case: name }]) => [key, y(Number(band.sdr[name]))]));
  const bar = (from, to, kind) => (from in at && to in at
    ? svg("line", { class: `bar ${kind}`, x1: x, x2: x, y1: at[from], y2: at[to] }) : null);
  const marks = cases.map(([key, { kind, text: words, case: name }]) => {
    const title = `${named(band)} Hz, ${words}: ${decibels(band.sdr[name])} dB`;
    const db = Number(band.sdr[name]);
    return db > high || db < low ? beyond(kind, x, at[key], title, db > high) : mark(kind, x, at[key], title);
  });
  return [bar("model", "family", "left"), bar("mixture", "model", at.model <= at.mixture ? "won" : "lost"), marks];
}

/** An arrow: what it stands for is above or below the axis. */
function beyond(kind, x, y, title, above) {
  const tip = above ? -9 : 9;
  return svg("polygon", { class: `dot ${kind}`, points: `${x},${y + tip} ${x - 7},${y} ${x + 7},${y}` }, svg("title", {}, title));
}

/** The sign of a case: dots for sounds there are, triangles for what the truth would make of them. */
function mark(kind, x, y, title) {
  const about = title ? svg("title", {}, title) : null;
  const size = 6;
  if (kind === "phase" || kind === "magnitude") {
    const [side, flip] = kind === "phase" ? [x - 11, 1] : [x + 11, -1];
    const points = [[side + flip * size, y], [side - flip * size, y - size], [side - flip * size, y + size]];
    return svg("polygon", { class: `dot ${kind}`, points: points.map((point) => point.join()).join(" ") }, about);
  }
  return svg("circle", { class: `dot ${kind}`, cx: x, cy: y, r: size }, about);
}

function legend() {
  return h("ul", { class: "legend" }, Object.values(CASES).map(({ kind, text }) => h("li", {},
    svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
      mark(kind, kind === "phase" ? 19 : kind === "magnitude" ? -3 : 8, 8)), text)));
}

function numbers(bands, name) {
  const gains = {
    gained: ({ model, mixture }) => model - mixture,
    "lost to magnitude": (sdr) => sdr[CASES.magnitude.case] - sdr.model,
    "lost to phase": (sdr) => sdr[CASES.phase.case] - sdr.model,
    "to the oracle": (sdr) => sdr[CASES.family.case] - sdr.model,
  };
  const head = ["band in Hz", "mixture", "estimate", "oracle", ...Object.keys(gains)];
  return h("div", { class: "wide" }, h("table", {}, h("caption", {},
    `${name}: SDR in dB, and what each cause costs. Causes overlap: they do not add up.`),
  h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
  h("tbody", {}, bands.map((band) => h("tr", {}, h("th", { scope: "row" }, named(band)),
    ["mixture", "model", CASES.family.case].map((c) => h("td", {}, decibels(band.sdr[c]))),
    Object.values(gains).map((gain) => {
      const value = gain(band.sdr);
      return h("td", {}, Number.isFinite(value) ? decibels(value, true) : "–");
    }))))));
}
