/** The page: a recording in, its stems to hear and to keep. */

import * as ort from "onnxruntime-web";

import { UnmaskError, loadModel } from "./unmask.js";
import { encodeWav } from "./wav.js";

const BUNDLED = "../src/unmask/models/denoise-16k.onnx";
const EXAMPLE = "../assets/demo/mixture.flac";

const element = (id) => document.getElementById(id);
const inputs = document.querySelectorAll("input, button");

async function fetchBytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new UnmaskError(`${url}: ${response.status}; serve the whole repository`);
  return response.arrayBuffer();
}

/** Return the channels of an encoded recording at the model's rate. */
async function decode(bytes, sampleRate) {
  // A context decodes to its own rate.
  const context = new OfflineAudioContext(1, 1, sampleRate);
  const audio = await context.decodeAudioData(bytes);
  return Array.from({ length: audio.numberOfChannels }, (_, k) => audio.getChannelData(k));
}

/** Show a waveform under a name, to hear and to download. */
function show(name, channels, sampleRate) {
  const url = URL.createObjectURL(
    new Blob([encodeWav(channels, sampleRate)], { type: "audio/wav" }),
  );
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const audio = Object.assign(document.createElement("audio"), { controls: true, src: url });
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: `${name}.wav`, textContent: "download WAV" });
  caption.append(`${name} `, link);
  figure.append(caption, audio);
  element("sounds").append(figure);
}

function clear() {
  document.querySelectorAll("#sounds a").forEach((link) => URL.revokeObjectURL(link.href));
  element("sounds").replaceChildren();
  element("error").textContent = "";
}

async function separate(recording) {
  element("status").textContent = "Loading the model";
  const file = element("model").files[0];
  const bytes = await (file ? file.arrayBuffer() : fetchBytes(BUNDLED));
  const model = await loadModel(ort, new Uint8Array(bytes));
  const mixture = await decode(await recording(), model.sampleRate);
  const start = performance.now();
  const progress = (share) => {
    element("status").textContent = `${model.name}: ${Math.round(100 * share)} %`;
    return new Promise((resolve) => setTimeout(resolve)); // the page stays alive
  };
  const stems = await model.separate(mixture, model.sampleRate, { residual: true, progress });
  const seconds = (performance.now() - start) / 1000;
  const duration = mixture[0].length / model.sampleRate;
  show("mixture", mixture, model.sampleRate);
  Object.entries(stems).forEach(([stem, channels]) => show(stem, channels, model.sampleRate));
  element("status").textContent =
    `${model.name}: ${duration.toFixed(1)} s in ${seconds.toFixed(1)} s, ` +
    `${(duration / seconds).toFixed(1)} times real time`;
}

async function run(recording) {
  clear();
  inputs.forEach((input) => (input.disabled = true));
  try {
    await separate(recording);
  } catch (error) {
    element("status").textContent = "";
    element("error").textContent = error.message;
    if (!(error instanceof UnmaskError)) throw error;
  } finally {
    inputs.forEach((input) => (input.disabled = false));
  }
}

// One thread needs no special headers of the server.
ort.env.wasm.numThreads = 1;
element("example").onclick = () => run(() => fetchBytes(EXAMPLE));
element("recording").onchange = ({ target }) => {
  if (target.files.length) run(() => target.files[0].arrayBuffer());
};
