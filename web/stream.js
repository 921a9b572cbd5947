/** Separation of a signal that comes in pieces. */

import { FFT } from "./fft.js";
import { UnmaskError } from "./metadata.js";

// Frames in one call of the network: enough that the call is cheap beside its work.
export const FRAMES_PER_CALL = 128;
// Frames of a chunk, in lengths of the context, for networks without memory.
const [CONTEXTS, LEAST_FRAMES] = [6, 16];

/**
 * Separates a stream block by block. However the input is cut, the output is the same and has as
 * many samples as came in; sample n of the output belongs to sample n of the input.
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
export function join(arrays) {
  const joined = new Float32Array(arrays.reduce((n, array) => n + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    joined.set(array, at);
    at += array.length;
  }
  return joined;
}
