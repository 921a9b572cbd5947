/**
 * unmask in a browser: a model, its front-end and its streams, around onnxruntime-web.
 *
 * A waveform is a list of channels, each a Float32Array. What comes out are the samples of the
 * Python package.
 */

import { maskFamily } from "./apply.js";
import { join } from "./framing.js";
import { makeFrontend } from "./frontends.js";
import { UnmaskError, readMetadata } from "./metadata.js";
import { FRAMES_PER_CALL, Streamer } from "./stream.js";

export { Streamer, UnmaskError };

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
    const { frontend, mask } = metadata;
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
    this.channels = metadata.channels;
    this.level = metadata.level;
    this.nSlow = metadata.slow_terms;
    this.slowStem = metadata.slow_stem;
    this.states = metadata.state;
    this.frontend = makeFrontend(frontend);
    const { nFreq, length } = this.frontend;
    // Masks are applied here; or they stay in the network, and frames of the sources come out.
    this.family = nFreq ? maskFamily(mask, this.sampleRate, nFreq) : null;
    [this.given, this.made] = nFreq ? ["spectrum", "mask"] : ["frames", "sources"];
    this.sizes = nFreq ? [2, this.channels, nFreq] : [this.channels, length];
    checkLookahead(this, mask);
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
    const [n, step] = [mixture[0].length, FRAMES_PER_CALL * this.frontend.hop];
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

  /** Return the memory of streams that begin: zeros, or silence before the first frame. */
  start(nSignals) {
    const tensors = this.states.map(({ shape }) => {
      const dims = [nSignals, ...shape];
      return new this.ort.Tensor("float32", new Float32Array(product(dims)), dims);
    });
    return { tensors, frames: Array(this.context).fill(this.silence(nSignals)) };
  }

  /** Return a silent frame, of every signal. */
  silence(nSignals) {
    return Array.from({ length: nSignals }, () => new Float32Array(product(this.sizes)));
  }

  /**
   * Run the network over frames [frame][signal]: real parts of all channels, then imaginary ones;
   * or the samples of all channels.
   *
   * A network without memory gets what its context needs from the steps before: it then is as one
   * with memory whose output comes `context` frames late.
   *
   * @returns `values` of `dims` (signal, source, part, channel, freq or sample, frame), of which
   *   `nMade` frames from `first` on are the next ones; and the memory after them
   */
  async step(frames, memory) {
    const all = [...memory.frames, ...frames];
    const [nSignals, nFrames] = [frames[0].length, all.length];
    const n = product(this.sizes);
    const values = new Float32Array(nSignals * n * nFrames);
    all.forEach((signals, k) =>
      signals.forEach((row, signal) => {
        for (let i = 0; i < n; i++) values[(signal * n + i) * nFrames + k] = row[i];
      }),
    );
    const dims = [nSignals, ...this.sizes, nFrames];
    const feeds = { [this.given]: new this.ort.Tensor("float32", values, dims) };
    this.states.forEach(({ name }, k) => (feeds[name] = memory.tensors[k]));
    const following = this.states.map(({ name }) => `next_${name}`);
    const fetched = await this.session.run(feeds, [this.made, ...following]);
    return {
      values: fetched[this.made].data,
      dims: this.#checked(fetched[this.made].dims, nSignals, nFrames),
      first: this.context,
      nMade: nFrames - 2 * this.context,
      memory: {
        tensors: following.map((name) => fetched[name]),
        frames: this.context ? all.slice(-2 * this.context) : [],
      },
    };
  }

  /** Return the axes of what the network gave, an axis of parts among them; refuse others. */
  #checked(dims, nSignals, nFrames) {
    const shape = this.family ? [...dims] : [...dims.slice(0, 2), 1, ...dims.slice(2)];
    const nComponents = this.family?.nComponents ?? 1;
    // A single mask value is real or complex, as the network has it.
    const nParts = nComponents > 1 || shape[2] === 2 ? 2 * nComponents : 1;
    const expected = [nSignals, this.stems.length, nParts, ...this.sizes.slice(-2), nFrames];
    if (String(shape) === String(expected)) return shape;
    if (!this.family) expected.splice(2, 1);
    throw new UnmaskError(
      `model: ${this.made} has shape [${dims}], expected [${expected}]; export it again`,
    );
  }
}

const product = (sizes) => sizes.reduce((a, b) => a * b, 1);

/** Refuse masks that need frames which are not there yet. */
function checkLookahead({ family, lookahead }, mask) {
  if (!family || lookahead >= family.future) return;
  throw new UnmaskError(
    `model: mask family ${mask.family} looks ${family.future} frames ahead, lookahead_frames is ` +
      `${lookahead}; export it again`,
  );
}
