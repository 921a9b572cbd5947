/**
 * unmask in a browser: a model, its front-end and its streams, around onnxruntime-web.
 *
 * A waveform is a list of channels, each a Float32Array. What comes out are the samples of the
 * Python package.
 */

import { maskFamily } from "./masks.js";
import { UnmaskError, readMetadata } from "./metadata.js";
import { FRAMES_PER_CALL, Streamer, join } from "./stream.js";

export { Streamer, UnmaskError };

/** Return the periodic window `name`; `sqrt_` before a name takes its root. */
function windowValues(name, n) {
  const cosines = { hann: [0.5, 0.5], hamming: [0.54, 0.46], blackman: [0.42, 0.5, 0.08] };
  const terms = cosines[name.replace(/^sqrt_/, "")];
  if (!terms) {
    throw new UnmaskError(
      `window '${name}' is not known here; there are ${Object.keys(cosines).join(", ")}, ` +
        "each also with sqrt_; use the Python package",
    );
  }
  const root = name.startsWith("sqrt_") ? (x) => Math.sqrt(Math.max(x, 0)) : (x) => x;
  return Float64Array.from({ length: n }, (_, k) =>
    root(terms.reduce((sum, a, m) => sum + (-1) ** m * a * Math.cos((m * 2 * Math.PI * k) / n), 0)),
  );
}

/**
 * Load a model from the bytes of its .onnx file, which says everything about itself.
 *
 * @param {object} ort the module onnxruntime-web (or onnxruntime-node)
 * @param {Uint8Array} bytes
 * @param {object} [options] of `ort.InferenceSession.create`: `executionProviders` and others
 * @returns {Promise<Model>}
 */
export async function loadModel(ort, bytes, options = {}) {
  const metadata = readMetadata(bytes);
  const model = new Model(ort, metadata);
  model.session = await ort.InferenceSession.create(bytes, options);
  return model;
}

/** A network ready for use. It holds no signal: several streams may share it. */
export class Model {
  constructor(ort, metadata) {
    const { frontend, mask, state } = metadata;
    if (frontend.kind !== "stft" || frontend.n_fft % frontend.hop) {
      throw new UnmaskError("model: front-end is no STFT whose hop divides n_fft; export it again");
    }
    this.ort = ort;
    this.metadata = metadata;
    this.name = metadata.name;
    this.sampleRate = metadata.sample_rate;
    this.stems = metadata.stems;
    this.residual = metadata.residual || "residual";
    this.residualIsSource = metadata.task === "separate" && Boolean(metadata.residual);
    this.unit = metadata.unit_frames;
    this.context = metadata.context_frames;
    this.lookahead = metadata.lookahead_frames || this.context;
    this.nFft = frontend.n_fft;
    this.hop = frontend.hop;
    this.nFreq = Math.floor(this.nFft / 2) + 1;
    this.window = windowValues(frontend.window, this.nFft);
    this.states = state;
    this.family = maskFamily(mask, this.sampleRate, this.nFreq);
  }

  /**
   * Return the stems of a whole recording, `{stem: [Float32Array, …]}`, as long as it.
   *
   * @param {Float32Array[]} mixture one per channel
   * @param {number} sampleRate of the mixture in Hz; the model's own is the only one that is taken
   * @param {{residual?: boolean, progress?: (share: number) => unknown}} [options]
   */
  async separate(mixture, sampleRate, { residual, progress } = {}) {
    if (sampleRate !== this.sampleRate) {
      throw new UnmaskError(
        `sample rate is ${sampleRate} Hz, ${this.name} takes ${this.sampleRate} Hz; resample first`,
      );
    }
    const streamer = new Streamer(this, { nChannels: mixture.length, residual });
    const parts = [];
    const [n, step] = [mixture[0].length, FRAMES_PER_CALL * this.hop];
    for (let k = 0; k < n; k += step) {
      parts.push(await streamer.process(mixture.map((channel) => channel.subarray(k, k + step))));
      await progress?.(Math.min(1, (k + step) / n));
    }
    parts.push(await streamer.flush());
    return Object.fromEntries(
      streamer.stems.map((stem) => [
        stem,
        mixture.map((_, channel) => join(parts.map((part) => part[stem][channel]))),
      ]),
    );
  }

  /** Return the memory of a stream that begins: zeros, or silence before the first frame. */
  start(nChannels) {
    const tensors = this.states.map(({ shape }) => {
      const dims = [nChannels, ...shape];
      return new this.ort.Tensor("float32", new Float32Array(dims.reduce((a, b) => a * b)), dims);
    });
    const frames = Array.from({ length: this.context }, () => this.silence(nChannels));
    return { tensors, frames };
  }

  /** Return a silent frame: a spectrum per channel. */
  silence(nChannels) {
    return Array.from({ length: nChannels }, () => new Float32Array(2 * this.nFreq));
  }

  /**
   * Run the network over frames, each a list of spectra, one per channel.
   *
   * A network without memory gets what its context needs from the steps before: it then is as one
   * with memory whose masks come `context` frames late.
   *
   * @returns raw maps `values` (channel, source, map, freq, frame) of which the frames from `first`
   *   up to `last` are the next ones; and the memory after them
   */
  async step(frames, memory) {
    const all = [...memory.frames, ...frames];
    const [nChannels, nFreq, nFrames] = [frames[0].length, this.nFreq, all.length];
    const features = new Float32Array(nChannels * 2 * nFreq * nFrames);
    for (let k = 0; k < nFrames; k++) {
      all[k].forEach((spectrum, channel) => {
        const offset = channel * 2 * nFreq * nFrames + k;
        for (let f = 0; f < 2 * nFreq; f++) features[offset + f * nFrames] = spectrum[f];
      });
    }
    const dims = [nChannels, 2, nFreq, nFrames];
    const feeds = { spectrum: new this.ort.Tensor("float32", features, dims) };
    this.states.forEach(({ name }, k) => (feeds[name] = memory.tensors[k]));
    const outputs = ["raw", ...this.states.map(({ name }) => `next_${name}`)];
    const fetched = await this.session.run(feeds, outputs);
    const expected = [nChannels, this.stems.length, this.family.nMaps, nFreq, nFrames];
    if (String(fetched.raw.dims) !== String(expected)) {
      throw new UnmaskError(
        `model: raw has shape [${fetched.raw.dims}], expected [${expected}]; export it again`,
      );
    }
    return {
      raw: { values: fetched.raw.data, nFrames, first: this.context, last: nFrames - this.context },
      memory: {
        tensors: this.states.map(({ name }) => fetched[`next_${name}`]),
        frames: this.context ? all.slice(-2 * this.context) : [],
      },
    };
  }
}
