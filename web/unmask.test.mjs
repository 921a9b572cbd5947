/** Laws of the front-end, with networks that are functions: nothing needs to be installed. */

import assert from "node:assert/strict";
import test from "node:test";

import { FFT } from "./fft.js";
import { readMetadata } from "./metadata.js";
import { Streamer, UnmaskError, loadModel } from "./unmask.js";

const SIZE = 1000;
const noise = (n, seed = 1) =>
  Float32Array.from(
    { length: n },
    (_, k) => ((Math.sin(12.9898 * (k + seed)) * 43758.5453) % 1) - 0.2,
  );
const error = (a, b) => a.reduce((worst, x, k) => Math.max(worst, Math.abs(x - b[k])), 0);

/** Encode fields of a protocol buffer message: numbers as varints, all else as bytes. */
function message(...fields) {
  const varint = (x) => (x < 128 ? [x] : [(x & 127) | 128, ...varint(Math.floor(x / 128))]);
  return fields.flatMap(([number, value]) =>
    typeof value === "number"
      ? [...varint(number * 8), ...varint(value)]
      : [...varint(number * 8 + 2), ...varint(value.length), ...value],
  );
}

const utf8 = (text) => [...new TextEncoder().encode(text)];
const entry = (key, value) => message([1, utf8(key)], [2, utf8(value)]);
const file = (...entries) =>
  Uint8Array.from(message([1, 8], [7, Array(300).fill(7)], ...entries.map((bytes) => [14, bytes])));

const METADATA = {
  format: 1,
  name: "test",
  sample_rate: 16000,
  frontend: { kind: "stft", n_fft: 64, hop: 32, window: "sqrt_hann" },
  mask: { family: "complex", options: {} },
  stems: ["speech"],
  residual: "noise",
  lookahead_frames: 0,
  state: [{ name: "state_0", shape: [1] }],
};

/** An onnxruntime whose network is `map(source, map, frame)`, frames counted through the state. */
function runtime({ stems, mask }, map) {
  const nMaps = mask.family.includes("complex") ? 2 : 1;
  class Tensor {
    constructor(type, data, dims) {
      Object.assign(this, { type, data, dims });
    }
  }
  async function run({ spectrum, state_0: state }) {
    const [nChannels, , nFreq, nFrames] = spectrum.dims;
    const dims = [nChannels, stems.length, nMaps, nFreq, nFrames];
    const seen = state?.data[0] ?? 0;
    const data = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, k) => {
      const row = Math.floor(k / nFrames / nFreq);
      return map(Math.floor(row / nMaps) % stems.length, row % nMaps, seen + (k % nFrames));
    });
    await null;
    const next = new Tensor("float32", new Float32Array(nChannels).fill(seen + nFrames), [
      nChannels,
      1,
    ]);
    return { raw: new Tensor("float32", data, dims), next_state_0: next };
  }
  return { Tensor, InferenceSession: { create: async () => ({ run }) } };
}

function load(changes, map) {
  const metadata = { ...METADATA, ...changes };
  return loadModel(runtime(metadata, map), file(entry("unmask", JSON.stringify(metadata))));
}

const identity = (source, map) => (map ? 0 : 1);
const counting = (source, map, frame) => (map ? 0.1 * source : Math.cos(frame));

async function stream(streamer, mixture, sizes) {
  const parts = [];
  let at = 0;
  for (const size of [...sizes, Infinity]) {
    parts.push(await streamer.process(mixture.map((x) => x.slice(at, at + size))));
    at += size;
  }
  parts.push(await streamer.flush());
  return streamer.stems.map((stem) =>
    mixture.map((_, c) => Float32Array.from(parts.flatMap((part) => [...part[stem][c]]))),
  );
}

for (const n of [1, 2, 3, 8, 12, 35, 64, 97, 960]) {
  test(`the transform of ${n} is its definition, and the inverse undoes it`, () => {
    const fft = new FFT(n);
    const frames = [noise(n), noise(n, 7)].map((x) => Float64Array.from(x));
    const spectra = frames.map(() => new Float32Array(2 * fft.nFreq));
    fft.forward(...frames, ...spectra);
    frames.forEach((frame, which) => {
      for (let k = 0; k < fft.nFreq; k++) {
        const angle = (m) => (-2 * Math.PI * ((k * m) % n)) / n;
        const re = frame.reduce((sum, x, m) => sum + x * Math.cos(angle(m)), 0);
        const im = frame.reduce((sum, x, m) => sum + x * Math.sin(angle(m)), 0);
        assert(Math.abs(spectra[which][k] - re) < 1e-6 * n);
        assert(Math.abs(spectra[which][fft.nFreq + k] - im) < 1e-6 * n);
      }
    });
    fft.backward(...spectra).forEach((frame, which) => assert(error(frame, frames[which]) < 1e-6));
  });
}

for (const [nFft, hop, window, lookahead] of [
  [64, 32, "sqrt_hann", 0],
  [64, 16, "hann", 0],
  [45, 15, "hann", 2],
  [64, 32, "sqrt_hamming", 3],
]) {
  const changes = {
    frontend: { kind: "stft", n_fft: nFft, hop, window },
    lookahead_frames: lookahead,
  };
  test(`${window} ${nFft} / ${hop}: a mask of one gives back every sample, of any number`, async () => {
    const model = await load(changes, identity);
    for (const n of [0, 1, hop - 1, hop, nFft + 1, SIZE]) {
      const mixture = [noise(n), noise(n, 5)];
      const { speech } = await model.separate(mixture, 16000);
      speech.forEach((x, channel) => {
        assert.equal(x.length, n);
        assert(error(x, mixture[channel]) < 1e-5);
      });
    }
  });
  test(`${window} ${nFft} / ${hop}: any cut gives the same samples, within the latency`, async () => {
    const model = await load({ ...changes, stems: ["a", "b"] }, counting);
    const mixture = [noise(SIZE)];
    const expected = await stream(new Streamer(model, { residual: true }), mixture, []);
    const streamer = new Streamer(model, { residual: true });
    for (const sizes of [Array(SIZE).fill(1), [0, 7, 600, 0, 13], Array(20).fill(hop)]) {
      const actual = await stream(streamer, mixture, sizes);
      actual.flat().forEach((x, k) => {
        assert.equal(x.length, SIZE);
        assert(error(x, expected.flat()[k]) < 1e-6);
      });
    }
    const total = mixture[0].map((_, n) => expected.reduce((sum, [x]) => sum + x[n], 0));
    assert(error(total, mixture[0]) < 1e-5);
    const [early] = Object.values(await streamer.process(mixture)).map(([x]) => x.length);
    assert(SIZE - early <= streamer.latency);
  });
}

test("a network in chunks gives the same samples for any cut", async () => {
  const changes = { context_frames: 4, unit_frames: 2, state: [] };
  const model = await load(changes, identity);
  const mixture = [noise(5 * SIZE)];
  for (const sizes of [[], [1, 2, 3000], Array(40).fill(100)]) {
    const [[speech]] = await stream(new Streamer(model), mixture, sizes);
    assert.equal(speech.length, 5 * SIZE);
    assert(error(speech, mixture[0]) < 1e-5);
  }
});

test("calls that overlap are done one after the other", async () => {
  const model = await load({}, counting);
  const mixture = noise(SIZE);
  const {
    speech: [expected],
  } = await model.separate([mixture], 16000);
  const streamer = new Streamer(model);
  const blocks = [0, 300, 301].map((k, i) => mixture.slice(k, [300, 301, SIZE][i]));
  const parts = await Promise.all([
    ...blocks.map((block) => streamer.process([block])),
    streamer.flush(),
  ]);
  const actual = Float32Array.from(parts.flatMap(({ speech }) => [...speech[0]]));
  assert(error(actual, expected) < 1e-6);
});

test("real masks mean what they mean in Python", async () => {
  const tone = [noise(SIZE)];
  for (const [family, raw, gain] of [
    ["irm1", 0.3, 1 / (1 + Math.exp(-0.3))],
    ["iam", 0.3, Math.log1p(Math.exp(0.3))],
    ["psm_signed", -2, Math.tanh(-2)],
    ["hybrid:irm1:0:psm", 0.7, 0.7],
  ]) {
    const model = await load({ mask: { family, options: {} } }, () => raw);
    const { speech } = await model.separate(tone, 16000);
    assert(
      error(
        speech[0],
        tone[0].map((x) => gain * x),
      ) < 1e-5,
      family,
    );
  }
});

test("metadata are found among other entries, whatever their letters", () => {
  const found = readMetadata(
    file(entry("author", "x"), entry("unmask", JSON.stringify({ ...METADATA, licence: "© ü" }))),
  );
  assert.equal(found.licence, "© ü");
  assert.equal(found.unit_frames, 1);
});

for (const [what, work, expected] of [
  ["no ONNX file", () => readMetadata(Uint8Array.from(utf8("RIFF....WAVE"))), /not an ONNX file/],
  ["half a file", () => readMetadata(file(entry("unmask", "{}")).slice(0, -3)), /not an ONNX file/],
  ["no metadata", () => readMetadata(file(entry("author", "x"))), /without the metadata/],
  ["no JSON", () => readMetadata(file(entry("unmask", "{"))), /no JSON/],
  ["a newer format", () => load({ format: 2 }, identity), /format 2, .* up to 1/],
  ["a field missing", () => load({ stems: undefined }, identity), /no stems/],
  [
    "another window",
    () => load({ frontend: { ...METADATA.frontend, window: "kaiser" } }),
    /'kaiser'/,
  ],
  ["another family", () => load({ mask: { family: "deep_filter", options: {} } }), /'deep_filter'/],
  ["another option", () => load({ mask: { family: "complex", options: { x: 1 } } }), /with x/],
  ["a family of objects", () => load({ mask: { family: "toString", options: {} } }), /'toString'/],
]) {
  test(`refused: ${what}`, () =>
    assert.rejects(
      async () => work(),
      (e) => e instanceof UnmaskError && expected.test(e.message),
    ));
}

test("a signal that is none is refused, and the stream goes on", async () => {
  const model = await load({}, identity);
  const mixture = noise(SIZE);
  await assert.rejects(model.separate([mixture], 48000), /48000 Hz, test takes 16000 Hz/);
  const streamer = new Streamer(model);
  const head = await streamer.process([mixture.slice(0, 400)]);
  await assert.rejects(streamer.process([Float32Array.of(0, NaN)]), /sample 1 of channel 0 is NaN/);
  await assert.rejects(streamer.process([mixture, mixture]), /expected 1 of one length/);
  const parts = [head, await streamer.process([mixture.slice(400)]), await streamer.flush()];
  const actual = Float32Array.from(parts.flatMap(({ speech }) => [...speech[0]]));
  assert(error(actual, mixture) < 1e-5);
});

test("an output of another shape is refused", async () => {
  const model = await load({ stems: ["a", "b"] }, identity);
  model.stems = ["a"];
  await assert.rejects(model.separate([noise(SIZE)], 16000), /raw has shape \[1,2,2,33,/);
});
