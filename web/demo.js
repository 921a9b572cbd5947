/** The page: a recording in, its stems to hear and to keep. */

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";

import { startLive } from "./live.js";
import { readMetadata } from "./metadata.js";
import { Sounds } from "./sounds.js";
import { UnmaskError, loadModel } from "./unmask.js";

// Where it lies in an installed package, and in the repository.
const MODELS = ["../models/", "../src/unmask/models/"];
const EXAMPLE = "../assets/demo/mixture.flac";

const element = (id) => document.getElementById(id);
const inputs = document.querySelectorAll("input, select, button");

/** Return what lies at the first of some places where something does. */
async function fetchBytes(...urls) {
  let response;
  for (const url of urls) {
    response = await fetch(url);
    if (response.ok) return response.arrayBuffer();
  }
  throw new UnmaskError(`${urls.at(-1)}: ${response.status}; serve the whole repository`);
}

/** Return the channels of an encoded recording at the model's rate. */
async function decode(bytes, sampleRate) {
  // A context decodes to its own rate.
  const context = new OfflineAudioContext(1, 1, sampleRate);
  const audio = await context.decodeAudioData(bytes);
  return Array.from({ length: audio.numberOfChannels }, (_, k) => audio.getChannelData(k));
}

// What can be heard, or null.
let sounds = null;

function clear() {
  sounds?.close();
  sounds = null;
  element("sounds").replaceChildren();
  element("error").textContent = "";
}

/** Return the bytes of the model that was chosen, or of the bundled one. */
async function modelBytes() {
  const file = element("model").files[0];
  const bundled = MODELS.map((folder) => `${folder}${element("bundled").value}.onnx`);
  return new Uint8Array(await (file ? file.arrayBuffer() : fetchBytes(...bundled)));
}

/** Say whose the model is that was chosen, as its file has it. */
async function showLicence() {
  try {
    const { licence } = readMetadata(await modelBytes());
    element("licence").textContent = `Licence of the model: ${licence ?? "not told"}`;
  } catch (error) {
    element("licence").textContent = error.message;
  }
}

async function separate(recording) {
  element("status").textContent = "Loading the model";
  const model = await loadModel(ort, await modelBytes());
  const mixture = await decode(await recording(), model.sampleRate);
  const start = performance.now();
  const progress = (share) => {
    element("status").textContent = `${model.name}: ${Math.round(100 * share)} %`;
    return new Promise((resolve) => setTimeout(resolve)); // the page stays alive
  };
  const stems = await model.separate(mixture, model.sampleRate, { residual: true, progress });
  const seconds = (performance.now() - start) / 1000;
  const duration = mixture[0].length / model.sampleRate;
  sounds = new Sounds([["mixture", mixture], ...Object.entries(stems)], model.sampleRate);
  element("sounds").replaceChildren(...sounds.elements);
  element("status").textContent =
    `${model.name}: ${duration.toFixed(1)} s in ${seconds.toFixed(1)} s, ` +
    `${(duration / seconds).toFixed(1)} times real time`;
}

// What is heard live, or null.
let live = null;

/** Separate what the microphone hears, until the button is pressed again. */
async function listen() {
  const exact = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: exact });
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  try {
    element("status").textContent = "Loading the model";
    live = { stop, ...(await startLive(await modelBytes(), { onReport: report })) };
  } catch (error) {
    stop();
    throw error;
  }
  live.context.createMediaStreamSource(stream).connect(live.node).connect(live.context.destination);
  element("live").textContent = "Stop";
  report({ nHeard: 0, nLate: 0 });
}

/** Say how a live separation goes, or that it ended. */
function report({ error, nHeard, nLate }) {
  if (!live) return;
  const { context, name, stem, delay } = live;
  if (error) {
    silence();
    element("error").textContent = error;
    return;
  }
  const [ms, late] = [(1000 * delay) / context.sampleRate, (100 * nLate) / Math.max(1, nHeard)];
  const seconds = nHeard / context.sampleRate;
  element("status").textContent =
    `${name}: ${stem} ${ms.toFixed(0)} ms behind what is heard, ` +
    `and what the sound card adds (${(1000 * context.baseLatency).toFixed(0)} ms or more); ` +
    `${late.toFixed(1)} % of ${seconds.toFixed(0)} s came too late and was left out`;
}

function silence() {
  live.stop();
  live.close();
  live = null;
  element("live").textContent = "Separate the microphone live";
  element("status").textContent = "";
}

async function run(work) {
  clear();
  inputs.forEach((input) => (input.disabled = true));
  try {
    await work();
  } catch (error) {
    element("status").textContent = "";
    element("error").textContent = error.message;
    if (!(error instanceof UnmaskError || error instanceof DOMException)) throw error;
  } finally {
    inputs.forEach((input) => (input.disabled = false));
  }
}

// One thread needs no special headers of the server.
ort.env.wasm.numThreads = 1;
element("example").onclick = () => run(() => separate(() => fetchBytes(EXAMPLE)));
element("bundled").onchange = element("model").onchange = showLicence;
element("live").onclick = () => (live ? silence() : run(listen));
element("recording").onchange = ({ target }) => {
  if (target.files.length) run(() => separate(() => target.files[0].arrayBuffer()));
};
document.ondragover = (event) => event.preventDefault();
document.ondrop = (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file && !element("recording").disabled) run(() => separate(() => file.arrayBuffer()));
};
showLicence();
