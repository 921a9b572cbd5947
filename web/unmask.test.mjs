/** Laws of the front-end, with networks that are functions: nothing needs to be installed. */

import assert from "node:assert/strict";
import test from "node:test";

import { maskFamily } from "./apply.js";
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
const times = (gain, x) => x.map((sample) => gain * sample);

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

const STFT = { kind: "stft", n_fft: 64, hop: 32, window: "sqrt_hann" };
const METADATA = {
  format: 2,
  name: "test",
  sample_rate: 16000,
  frontend: STFT,
  mask: { family: "complex", options: {} },
  stems: ["speech"],
  residual: "noise",
  lookahead_frames: 0,
  state: [{ name: "state_0", shape: [1] }],
};

class Tensor {
  constructor(type, data, dims) {
    Object.assign(this, { type, data, dims });
  }
}

/**
 * An onnxruntime whose masks are `map(source, part, frame, channel)`, frames counted through the
 * state. With a learned front-end that is what samples of the frames are multiplied by.
 */
function runtime({ stems, mask, frontend, channels = 1 }, map) {
  const isComplex = frontend.kind === "stft" && /complex|deep/.test(mask.family);
  const nParts = isComplex ? 2 * (mask.options.order ?? 1) : 1;
  async function run({ spectrum, frames, state_0: state }) {
    const { dims: given } = spectrum ?? frames;
    const [nSignals, nFrames, n] = [given[0], given.at(-1), given.at(-2)];
    assert.equal(given.at(-3), channels);
    const dims = [nSignals, stems.length, nParts, channels, n, nFrames];
    const seen = state?.data[0] ?? 0;
    const size = dims.reduce((a, b) => a * b);
    const data = Float32Array.from({ length: size }, (_, k) => {
      const row = Math.floor(k / nFrames / n);
      const [channel, part, of] = [
        row % channels,
        Math.floor(row / channels) % nParts,
        k % nFrames,
      ];
      const source = Math.floor(row / channels / nParts) % stems.length;
      const value = map(source, part, seen + of, channel);
      if (!frames) return value;
      const own = channels * n * nFrames;
      const signal = Math.floor(k / own / stems.length);
      return value * frames.data[signal * own + (k % own)];
    });
    await null;
    const next = new Float32Array(nSignals).fill(seen + nFrames);
    const made = frames ? { sources: [dims[0], dims[1], ...dims.slice(3)] } : { mask: dims };
    const [[name, shape]] = Object.entries(made);
    return {
      [name]: new Tensor("float32", data, shape),
      next_state_0: new Tensor("float32", next, [nSignals, 1]),
    };
  }
  return { Tensor, InferenceSession: { create: async () => ({ run }) } };
}

function load(changes, map) {
  const metadata = { ...METADATA, ...changes };
  return loadModel(runtime(metadata, map), file(entry("unmask", JSON.stringify(metadata))));
}

const identity = (source, part) => (part ? 0 : 1);
const counting = (source, part, frame) => (part ? 0.1 * source : Math.cos(frame));

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
  [64, 27, "hann", 1],
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

/** Return what `apply` makes of bins 0 to 4 of frame `now` of random spectra. */
function applied(family, options, rows, now, nFrames) {
  const bins = (seed) => ({ re: noise(5, seed), im: noise(5, seed + 50) });
  const spectra = Array.from({ length: nFrames }, (_, k) => bins(10 * k));
  const masked = { re: new Float32Array(5), im: new Float32Array(5) };
  const found = maskFamily({ family, options }, 16000, 5);
  const masks = rows.map((row) => ({ re: row.re.slice(), im: row.im.slice() }));
  found.apply(masks, spectra, now, masked, 0, 5);
  return { found, spectra, masked };
}

const row = (re, im = 0) => ({ re: Array(5).fill(re), im: Array(5).fill(im) });

test("a filter delays by the place of its tap, less the frames it looks ahead", () => {
  for (const [tap, lookahead] of [
    [0, 0],
    [2, 0],
    [0, 2],
    [1, 2],
  ]) {
    const taps = Array.from({ length: 3 }, (_, k) => (k === tap ? row(0, 1) : row(0)));
    const { spectra, masked, found } = applied("deep_filter", { order: 3, lookahead }, taps, 2, 5);
    const from = spectra[2 + lookahead - tap];
    assert.deepEqual([found.past, found.future], [2 - lookahead, lookahead]);
    assert(error(masked.im, from.re) === 0 && error(masked.re, times(-1, from.im)) === 0);
  }
});

test("decoupled masks scale, turn and add to magnitudes, and take no more than there is", () => {
  const quarter = [row(0.5), row(0, 1), row(0.25)];
  const { found, spectra, masked } = applied("decoupled", {}, quarter, 0, 1);
  for (let f = 0; f < 5; f++) {
    const [re, im] = [spectra[0].re[f], spectra[0].im[f]];
    const gain = 0.5 + 0.25 / Math.hypot(re, im);
    assert(Math.abs(masked.re[f] + gain * im) < 1e-6 && Math.abs(masked.im[f] - gain * re) < 1e-6);
  }
  const taken = applied("decoupled", {}, [row(0.5), row(1), row(-9)], 0, 1).masked;
  assert.deepEqual([...taken.re, ...taken.im].map(Math.abs), Array(10).fill(0));
  const silence = { re: new Float32Array(5), im: new Float32Array(5) };
  const added = { re: new Float32Array(5), im: new Float32Array(5) };
  found.apply(quarter, [silence], 0, added, 0, 5);
  assert.deepEqual([...added.re, ...added.im], [...Array(5).fill(0), ...Array(5).fill(0.25)]);
});

test("a hybrid has another family in the bins above its crossover", () => {
  const masks = [row(0, 0), row(2, 0), row(0, 0), row(0, 0), row(0, 0)];
  // Bins are 2 kHz apart.
  const { spectra, masked } = applied("hybrid:deep_filter:3000:irm1", {}, masks, 4, 5);
  assert(error(masked.re.subarray(0, 2), times(2, spectra[3].re)) < 1e-6);
  assert.deepEqual([...masked.re.subarray(2)], [0, 0, 0]);
  for (const family of ["hybrid:deep_filter:3000:irm1", "hybrid:irm1:3000:deep_filter"]) {
    const { nComponents, past, future } = maskFamily({ family }, 16000, 5);
    assert.deepEqual([nComponents, past, future], [5, 4, 0]);
  }
});

test("a filter begins and ends in silence, and its frames come when those ahead are there", async () => {
  const changes = {
    mask: { family: "deep_filter", options: { order: 3, lookahead: 2 } },
    lookahead_frames: 2,
  };
  // The tap without delay is the last of three.
  const model = await load(changes, (source, part) => (part === 2 ? 1 : 0));
  const mixture = [noise(SIZE), noise(SIZE, 5)];
  for (const sizes of [[], [1, 70, 33]]) {
    const [speech] = await stream(new Streamer(model, { nChannels: 2 }), mixture, sizes);
    speech.forEach((x, channel) => assert(error(x, mixture[channel]) < 1e-5));
  }
});

const FRAMES = { kind: "frames", length: 48, hop: 16 };

test("a learned front-end gets frames as they are, and what comes back is their sum", async () => {
  const model = await load(
    { frontend: FRAMES, stems: ["a", "b"], context_frames: 4, state: [] },
    (k) => k + 1,
  );
  const mixture = [noise(SIZE), noise(SIZE, 5)];
  for (const sizes of [[], [1, 70, 33]]) {
    const [a, b] = await stream(new Streamer(model, { nChannels: 2 }), mixture, sizes);
    mixture.forEach((x, channel) => {
      assert(error(a[channel], times(3, x)) < 1e-5);
      assert(error(b[channel], times(6, x)) < 1e-5);
    });
  }
});

for (const frontend of [METADATA.frontend, FRAMES]) {
  test(`${frontend.kind}: a network of two channels sees them at once, a single one twice`, async () => {
    const model = await load({ channels: 2, frontend }, (source, part, _, channel) =>
      part ? 0 : channel + 1,
    );
    const gain = frontend.kind === "stft" ? 1 : 3;
    const [left, right] = [noise(SIZE), noise(SIZE, 5)];
    const stereo = (await model.separate([left, right], 16000)).speech;
    assert(error(stereo[0], times(gain, left)) < 1e-5);
    assert(error(stereo[1], times(2 * gain, right)) < 1e-5);
    const mono = (await model.separate([left], 16000)).speech;
    assert(error(mono[0], times(1.5 * gain, left)) < 1e-5);
    await assert.rejects(
      model.separate([left, left, left], 16000),
      /^UnmaskError: n_channels: 3, model test sees 2 channels at once and takes 2 or 1; separate channels 1\+2, 3 by themselves$/,
    );
  });
}

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
  ["a newer format", () => load({ format: 3 }, identity), /format 3, .* reads 2; update it/],
  [
    "segments that are to be joined",
    () => load({ unit_frames: 32, state: [] }, identity),
    /hears segments by themselves, which are not joined here/,
  ],
  ["an older format", () => load({ format: 1 }, identity), /format 1, .* export it again/],
  ["a field missing", () => load({ stems: undefined }, identity), /no stems/],
  ["another window", () => load({ frontend: { ...STFT, window: "kaiser" } }), /'kaiser'/],
  [
    "a hop above the window",
    () => load({ frontend: { ...STFT, hop: 65 } }),
    /65, expected 1 to 64/,
  ],
  ["another front-end", () => load({ frontend: { kind: "toString" } }), /'toString'/],
  ["half a hybrid", () => load({ mask: { family: "hybrid:irm1:3000" } }), /hybrid:LOW:HZ:HIGH/],
  [
    "a filter of frames to come that the network does not wait for",
    () => load({ mask: { family: "deep_filter", options: { lookahead: 1 } } }),
    /looks 1 frames ahead, lookahead_frames is 0/,
  ],
  [
    "no channel",
    async () => new Streamer(await load({}, identity), { nChannels: 0 }),
    /0, expected 1/,
  ],
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
  await assert.rejects(
    model.separate([noise(SIZE)], 16000),
    /mask has shape \[1,2,2,1,33,\d+\], expected \[1,1,2,1,33,/,
  );
});
