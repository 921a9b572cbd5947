/**
 * unmask in a browser: a model, its front-end and its streams, around onnxruntime-web.
 *
 * A waveform is a list of channels, each a Float32Array. The samples are those of the Python package.
 */

import { FFT } from "./fft.js";
import { maskFamily } from "./masks.js";
import { UnmaskError, readMetadata } from "./metadata.js";

export { UnmaskError };

// Frames in one call of the network: enough that the call is cheap beside its work.
const FRAMES_PER_CALL = 128;
// Frames of a chunk, in lengths of the context, for networks without memory.
const [CONTEXTS, LEAST_FRAMES] = [6, 16];

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
    const fetched = await this.session.run(feeds);
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

/**
 * Separates a stream block by block. However the input is cut, the output is the same and has as many
 * samples as came in; sample n of the output belongs to sample n of the input.
 */
export class Streamer {
  #model;
  #fft;
  #scale;
  #chunk;
  #memory;
  #held; // samples from the first that is not out yet, per channel
  #waiting; // spectra whose masks are not out yet
  #nFresh; // of them, the last ones that the network has not seen
  #sums; // overlapping frames, per stem and channel
  #weights; // their squared windows
  #nSkipped; // samples before the first that are still to come out
  #nIn;
  #nOut;
  #queue = Promise.resolve();

  /**
   * @param {Model} model
   * @param {{nChannels?: number, residual?: boolean}} [options] `residual`: also return what the
   *   stems leave of the mixture; the default is whether that is a source like the stems
   */
  constructor(model, { nChannels = 1, residual = model.residualIsSource } = {}) {
    this.#model = model;
    this.nChannels = nChannels;
    this.residual = residual;
    this.stems = residual ? [...model.stems, model.residual] : model.stems;
    this.#fft = new FFT(model.nFft);
    // The network sees a full-scale sine as 1.
    this.#scale = 2 / model.window.reduce((a, b) => a + b);
    const { unit, context } = model;
    const isChunked = context || unit > 1;
    const nFrames = Math.max(CONTEXTS * context, LEAST_FRAMES);
    this.#chunk = isChunked ? unit * Math.ceil(nFrames / unit) : 0;
    this.reset();
  }

  /** Largest number of samples that are held back. */
  get latency() {
    const nFrames = this.#model.lookahead + Math.max(0, this.#chunk - 1);
    return this.#model.nFft - 1 + nFrames * this.#model.hop;
  }

  /** Forget everything, as if new. */
  reset() {
    const { nFft, stems } = this.#model;
    // Frame 0 is centred at sample 0.
    this.#nSkipped = Math.floor(nFft / 2);
    this.#held = this.#channels(() => new Float32Array(this.#nSkipped));
    this.#memory = this.#model.start(this.nChannels);
    this.#waiting = [];
    this.#sums = stems.map(() => this.#channels(() => new Float64Array(nFft)));
    this.#weights = new Float64Array(nFft);
    this.#nFresh = this.#nIn = this.#nOut = 0;
  }

  /**
   * Take in a block, any number of samples, and return what is ready: `{stem: [Float32Array, …]}`.
   * Calls that overlap are done one after the other.
   *
   * @param {Float32Array[]} block one per channel
   */
  process(block) {
    return this.#next(() => this.#process(block));
  }

  /** Return the rest of the stream; afterwards the streamer is as new. */
  flush() {
    return this.#next(() => this.#flush());
  }

  #next(work) {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => {});
    return result;
  }

  async #process(block) {
    this.#check(block);
    this.#nIn += block[0].length;
    const rows = [];
    // In pieces, so that the network's arrays do not grow with the block.
    const step = FRAMES_PER_CALL * this.#model.hop;
    for (let k = 0; k < block[0].length; k += step) {
      this.#analyze(block.map((channel) => channel.subarray(k, k + step)));
      const nLeft = this.#chunk ? this.#nFresh % this.#chunk : 0;
      rows.push(...(await this.#advance(this.#nFresh - nLeft, 0)));
    }
    return this.#named(rows);
  }

  async #flush() {
    const { nFft, hop, lookahead, unit } = this.#model;
    const end = Math.ceil(this.#nIn / hop) * hop + nFft - Math.floor(nFft / 2);
    this.#analyze(this.#channels(() => new Float32Array(end - this.#nIn)));
    const nSpare = (unit - ((this.#nFresh + lookahead) % unit)) % unit;
    for (let k = 0; k < lookahead + nSpare; k++) {
      this.#waiting.push(this.#model.silence(this.nChannels));
      this.#nFresh++;
    }
    const rows = await this.#advance(this.#nFresh, nSpare);
    for (let k = hop; k < nFft; k += hop) rows.push(this.#row());
    const rest = this.#named(rows, this.#nIn - this.#nOut);
    this.reset();
    return rest;
  }

  /** Take in samples; add the spectra of all new frames that are complete to those that wait. */
  #analyze(samples) {
    const { nFft, hop, window } = this.#model;
    this.#held = this.#held.map((held, channel) => join([held, samples[channel]]));
    const first = this.#waiting.length;
    const nFrames = Math.max(0, 1 + Math.floor((this.#held[0].length - nFft) / hop) - first);
    const frames = [];
    for (let k = first; k < first + nFrames; k++) {
      const spectra = this.#model.silence(this.nChannels);
      this.#waiting.push(spectra);
      this.#held.forEach((held, channel) => {
        const frame = new Float64Array(nFft);
        for (let n = 0; n < nFft; n++) frame[n] = held[k * hop + n] * window[n] * this.#scale;
        frames.push([frame, spectra[channel]]);
      });
    }
    this.#nFresh += nFrames;
    const spare = [new Float64Array(nFft), new Float32Array(2 * this.#fft.nFreq)];
    for (let k = 0; k < frames.length; k += 2) {
      const [[a, first], [b, second]] = [frames[k], frames[k + 1] ?? spare];
      this.#fft.forward(a, b, first, second);
    }
  }

  /** Show the network the next frames; return the rows of samples that are then complete. */
  async #advance(nFrames, nSpare) {
    if (!nFrames) return [];
    const { lookahead } = this.#model;
    const start = this.#waiting.length - this.#nFresh;
    const frames = this.#waiting.slice(start, start + nFrames);
    const { raw, memory } = await this.#model.step(frames, this.#memory);
    this.#memory = memory;
    this.#nFresh -= nFrames;
    const nDue = Math.max(0, start + nFrames - lookahead - nSpare);
    const masked = [];
    for (let k = raw.last - nSpare - nDue; k < raw.last - nSpare; k++) {
      masked.push(...this.#mask(raw, k, this.#waiting.shift()));
    }
    return this.#synthesize(masked);
  }

  /** Return the masked spectra of frame `k`: all channels of the first stem, then of the next. */
  #mask({ values, nFrames }, k, spectra) {
    const { stems, family, nFreq } = this.#model;
    const step = nFreq * nFrames;
    const mask = { re: 0, im: 0 };
    return stems.flatMap((_, stem) =>
      spectra.map((spectrum, channel) => {
        const masked = new Float32Array(2 * nFreq);
        let at = (channel * stems.length + stem) * family.nMaps * step + k;
        for (let f = 0; f < nFreq; f++, at += nFrames) {
          family.of(f).activate(values[at], values[at + step], mask);
          const [re, im] = [spectrum[f], spectrum[nFreq + f]];
          masked[f] = re * mask.re - im * mask.im;
          masked[nFreq + f] = re * mask.im + im * mask.re;
        }
        return masked;
      }),
    );
  }

  /** Overlap-add masked spectra; return a row of samples per frame. */
  #synthesize(masked) {
    const { nFft, window } = this.#model;
    const sums = this.#sums.flat();
    const silence = new Float32Array(2 * this.#fft.nFreq);
    const frames = [];
    for (let k = 0; k < masked.length; k += 2) {
      const pair = this.#fft.backward(masked[k], masked[k + 1] ?? silence);
      frames.push(...pair.map((frame) => frame.slice()));
    }
    const rows = [];
    for (let k = 0; k < masked.length; k += sums.length) {
      sums.forEach((sum, signal) => {
        const frame = frames[k + signal];
        for (let n = 0; n < nFft; n++) sum[n] += (frame[n] * window[n]) / this.#scale;
      });
      for (let n = 0; n < nFft; n++) this.#weights[n] += window[n] ** 2;
      rows.push(this.#row());
    }
    return rows;
  }

  /** Return the next hop of samples, [stem][channel], that all frames are in, and move on. */
  #row() {
    const { hop } = this.#model;
    const shift = (sum) => sum.copyWithin(0, hop).fill(0, sum.length - hop);
    // A weight is zero only where the window is, before the first sample or after the last.
    const weights = this.#weights.slice(0, hop).map((weight) => weight || 1);
    const finish = (sum) => Float32Array.from(weights.map((weight, n) => sum[n] / weight));
    const row = this.#sums.map((channels) => channels.map(finish));
    this.#sums.flat().forEach(shift);
    shift(this.#weights);
    if (this.residual) {
      const rest = (n, channel) => row.reduce((x, stem) => x - stem[channel][n], 0);
      row.push(
        this.#held.map((held, channel) =>
          held.slice(0, hop).map((sample, n) => sample + rest(n, channel)),
        ),
      );
    }
    this.#held = this.#held.map((held) => held.subarray(hop));
    return row;
  }

  /** Return rows as `{stem: [Float32Array, …]}`, without what lies before the first sample. */
  #named(rows, limit = Infinity) {
    const length = rows.length * this.#model.hop;
    const first = Math.min(this.#nSkipped, length);
    const last = Math.min(first + limit, length);
    this.#nSkipped -= first;
    this.#nOut += last - first;
    return Object.fromEntries(
      this.stems.map((stem, k) => [
        stem,
        this.#channels((channel) => join(rows.map((row) => row[k][channel])).slice(first, last)),
      ]),
    );
  }

  #channels(make) {
    return Array.from({ length: this.nChannels }, (_, channel) => make(channel));
  }

  #check(block) {
    if (block.length !== this.nChannels || block.some((x) => x.length !== block[0].length)) {
      throw new UnmaskError(
        `mixture: has channels of ${block.map((x) => x.length)} samples, ` +
          `expected ${this.nChannels} of one length`,
      );
    }
    block.forEach((samples, channel) => {
      const bad = samples.findIndex((x) => !Number.isFinite(x));
      if (bad < 0) return;
      throw new UnmaskError(
        `mixture: sample ${bad} of channel ${channel} is ${samples[bad]}, ` +
          "expected a finite number; repair the recording first",
      );
    });
  }
}

/** Return Float32Arrays one after the other. */
function join(arrays) {
  const joined = new Float32Array(arrays.reduce((n, array) => n + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    joined.set(array, at);
    at += array.length;
  }
  return joined;
}
