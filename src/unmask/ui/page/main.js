// The page: files are given, separated one after the other, heard, mixed, downloaded.

import { get, give, post, samples } from "./api.js";
import { Given } from "./given.js";
import { Mixer, factor } from "./mixer.js";
import { Results, stateOf } from "./results.js";
import { clock, h, speak } from "../../report/page/dom.js";
import { View, listenForKeys } from "../../report/page/view.js";

const BUSY_MS = 300;
const IDLE_MS = 2000;
const place = (id) => document.getElementById(id);

let hasLooked = false; // what was there before the page is no news
let about = null;
let given = null;
let view = null;
let jobs = [];
let opened = null; // the job that is heard
let wanted = null; // the job that is to be heard once it is done
let timer = 0;
let n_given = 0;

const results = new Results({
  open: (job) => open(job, { focus: true }),
  stop: (job) => told(() => post(`api/jobs/${job.id}/stop`)),
  remove: (job) => told(async () => {
    await post(`api/jobs/${job.id}/remove`);
    if (opened?.id === job.id) close();
    results.drop(`job-${job.id}`);
    speak(`${job.name} removed`);
  }),
});

function banner(text) {
  if (place("banner").textContent === text) return; // it would be read out again
  place("banner").textContent = text;
  place("banner").hidden = !text;
}

/** Do something and look how all is then; what goes wrong is said in a line. */
async function told(act) {
  try {
    banner("");
    await act();
  } catch (error) {
    banner(error.message);
  }
  look();
}

const titleOf = (name) => about.models.find((model) => model.name === name)?.title ?? name;

/** Hand files over, one after the other, and let each be separated. */
async function take(files) {
  const said = given.said;
  banner("");
  const rows = files.map((file) => {
    const key = `file-${n_given++}`;
    const row = { name: file.name, about: titleOf(said.model), state: "waiting", share: 0, text: "waits" };
    const held = { file, key, row, isWanted: true, stop: () => {} };
    row.act = { stop: () => { held.isWanted = false; held.stop(); results.drop(key); }, remove: () => results.drop(key) };
    results.show(key, row);
    return held;
  });
  for (const held of rows.filter(({ isWanted }) => isWanted)) await hand(held, said);
}

async function hand(held, said) {
  const { file, key, row } = held;
  if (!held.isWanted) return;
  try {
    if (file.size > about.most_bytes) throw new Error(`${file.name}: is too large, at most ${about.most_bytes / 1e9} GB are taken`);
    const sending = give(file, (share) => {
      if (held.isWanted) results.show(key, { ...row, state: "running", share, text: share < 1 ? "is read" : "is looked at" });
    });
    held.stop = sending.stop;
    const { id } = await sending.done;
    if (!held.isWanted) {
      await post(`api/recordings/${id}/remove`);
      return;
    }
    const job = await post("api/jobs", { ...said, recording: id });
    wanted = job.id;
    results.drop(key);
  } catch (error) {
    if (!held.isWanted) return;
    results.show(key, { ...row, state: "failed", text: "failed", error: error.message });
    speak(`${file.name} failed: ${error.message}`);
  }
  look();
}

/** Ask how far all jobs are, and again after a while. */
async function look() {
  clearTimeout(timer);
  try {
    const before = new Map(jobs.map(({ id, state }) => [id, state]));
    jobs = (await get("api/state")).jobs;
    for (const id of before.keys()) { // may have been removed in another tab
      if (jobs.every((job) => job.id !== id)) results.drop(`job-${id}`);
    }
    for (const job of jobs) {
      results.job(job, titleOf(job.model));
      if (before.get(job.id) !== job.state) ended(job, hasLooked);
    }
    hasLooked = true;
  } catch (error) {
    banner(error.message);
  }
  clearTimeout(timer);
  const busy = jobs.some(({ state }) => ["waiting", "running"].includes(state));
  timer = setTimeout(look, busy ? BUSY_MS : IDLE_MS);
}

/** A job has come into another state, or is new; it may be done at once. */
function ended(job, isNews) {
  if (isNews && !["waiting", "running"].includes(job.state)) speak(`${job.name}, ${titleOf(job.model)}: ${stateOf(job)}${job.error ? `: ${job.error}` : ""}`);
  const isFree = !opened || (job.id === wanted && !view?.player?.playing);
  if (job.state === "done" && isFree) open(job);
}

function close() {
  view?.close();
  view = opened = null;
  place("opened").replaceChildren();
  results.mark(null);
  delete document.documentElement.dataset.ready;
}

/** Fetch the samples of all sounds of a stretch. */
async function load(job, stretch, say) {
  const buffers = [];
  for (const [k, { label }] of stretch.stems[0].versions.entries()) {
    say(`Reading ${label} …`);
    const found = await samples(`api/jobs/${job.id}/samples/${k}?start=${stretch.first}`);
    const { channels: n, n: length, rate: sampleRate } = stretch;
    const buffer = new AudioBuffer({ numberOfChannels: n, length, sampleRate });
    for (let channel = 0; channel < n; channel++) {
      const own = buffer.getChannelData(channel);
      for (let at = 0, from = channel; at < length; at++, from += n) own[at] = found[from];
    }
    buffers.push(buffer);
  }
  return buffers;
}

/** Let the result of a job be heard and seen, from a sample on. */
async function open(job, { start = 0, focus = false } = {}) {
  close();
  opened = job;
  results.mark(`job-${job.id}`);
  const heading = h("h2", { tabindex: -1 }, `${job.name}, ${titleOf(job.model)}`);
  const state = h("p", { class: "quiet", role: "status" }, "Reading …");
  place("opened").replaceChildren(heading, state);
  if (focus) heading.focus();
  try {
    const stretch = await get(`api/jobs/${job.id}/stretch?start=${start}`);
    const buffers = await load(job, stretch, (text) => { if (opened === job) state.textContent = text; });
    if (opened !== job) return; // another was chosen meanwhile
    show(job, stretch, buffers, heading);
  } catch (error) {
    if (opened === job) state.replaceWith(h("p", { role: "alert" }, error.message));
  }
}

function show(job, stretch, buffers, heading) {
  const { versions } = stretch.stems[0];
  const stems = job.remix ? [] : versions.slice(1).map(({ label }) => label);
  if (stems.length > 1) versions.push({ kind: "sound:mix", label: "mix", about: "All stems, as the mixer has them", sound: null, mask: null });
  view = new View(stretch, buffers, {
    pictureOf: (name) => `api/jobs/${job.id}/pictures/${name}?start=${stretch.first}`,
  });
  const mixer = stems.length > 1 ? new Mixer(stems, () => {
    view.mix([0, ...stems.map((stem) => factor(mixer.gains[stem]))]);
    view.pick(versions.length - 1);
  }, () => writeRemix(job, mixer)) : null;
  view.mix([0, ...stems.map(() => 1)]);
  place("opened").replaceChildren(heading,
    h("div", { class: "cards" }, mixer?.element ?? "", downloads(job)),
    ...[stretches(job, stretch)].filter(Boolean), view.element);
  requestAnimationFrame(() => view?.tracks.draw());
  document.documentElement.dataset.ready = job.id;
}

/** A choice of the stretch, where the whole is too long to be held at once. */
function stretches(job, { starts, first, rate }) {
  if (starts.length < 2) return null;
  const select = h("select", { id: "stretch", onchange: () => open(job, { start: Number(select.value) }) },
    starts.map((start) => h("option", { value: start, selected: start === first }, `from ${clock(start / rate)}`)));
  return h("p", { class: "stretch" }, h("label", { for: "stretch" }, "It is long, hear it "), select);
}

function writeRemix(job, mixer) {
  const { residual } = about.models.find(({ name }) => name === job.model);
  const gains = { ...mixer.gains };
  if (!(residual in gains)) gains[residual] = null; // is not heard in the mix
  told(async () => {
    const settings = { ...job.asked.settings, gains_db: gains };
    const made = await post("api/jobs", { ...job.asked, rest: false, remix: true, settings });
    speak(`Remix of ${made.name} begun`);
  });
}

const size = (n) => (n < 1e6 ? `${Math.ceil(n / 1e3)} kB` : `${(n / 1e6).toFixed(1)} MB`);

function downloads(job) {
  const files = job.files.map(({ stem, name, n_bytes: n, lost }) => h("li", {},
    h("a", { href: `api/jobs/${job.id}/files/${encodeURIComponent(stem)}`, download: true }, name), h("span", { class: "quiet" }, ` ${size(n)}`),
    lost.length ? h("span", { class: "quiet" }, `, cannot hold ${lost.join(", ")}`) : null));
  return h("section", { class: "card", "aria-label": "Downloads" }, h("h3", {}, "Download"), h("ul", { class: "files" }, files),
    h("p", {}, h("a", { href: `api/jobs/${job.id}/stems.zip`, download: true }, "All as ZIP"),
      h("span", { class: "quiet" }, ", with the record of how they were made")),
    again(job));
}

function again(job) {
  return h("div", { class: "acts" }, h("button", { type: "button", id: "again", onclick: () => told(async () => {
    speak(`${job.name} is separated again, with ${titleOf(given.said.model)}`); // before it can be done
    wanted = (await post("api/jobs", { ...given.said, recording: job.recording })).id;
  }) }, "Separate again"), h("span", { class: "quiet" }, "with what is chosen at the top"));
}

async function begin() {
  about = await get("api/about");
  given = new Given(about, take);
  place("given").replaceChildren(given.element);
  place("results").replaceChildren(results.element);
  document.documentElement.dataset.begun = "true";
  look();
}

listenForKeys(() => view);
let pending = 0;
const redraw = () => { cancelAnimationFrame(pending); pending = requestAnimationFrame(() => view?.tracks.draw()); };
window.addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
begin().catch((error) => banner(error.message));
