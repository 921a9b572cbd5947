/** Separation of a signal that comes in pieces. */

import { Framing, join } from "./framing.js";
import { Decoding, Masking } from "./masking.js";
import { UnmaskError } from "./metadata.js";

// Frames in one call of the network: enough that the call is cheap beside its work.
export const FRAMES_PER_CALL = 128;
// Frames of a chunk, in lengths of the context, for networks without memory.
const [CONTEXTS, LEAST_FRAMES] = [6, 32];

/**
 * Separates a stream block by block. However the input is cut, the output is the same and has as
 * many samples as came in; sample n of the output belongs to sample n of the input.
 */
export class Streamer {
  #model;
  #chunk;
  #framing;
  #masking;
  #fresh; // frames that the network has not seen, less than a chunk
  #queue = Promise.resolve();

  /**
   * @param {Model} model
   * @param {{nChannels?: number, residual?: boolean}} [options] `residual`: also return what the
   *   stems leave of the mixture; the default is whether that is a source like the stems
   */
  constructor(model, { nChannels = 1, residual = model.residualIsSource } = {}) {
    checkChannels(model, nChannels);
    this.#model = model;
    this.nChannels = nChannels;
    this.residual = residual;
    this.stems = residual ? [...model.stems, model.residual] : model.stems;
    const { unit, context } = model;
    const isChunked = context || unit > 1;
    const nFrames = Math.max(CONTEXTS * context, LEAST_FRAMES);
    this.#chunk = isChunked ? unit * Math.ceil(nFrames / unit) : 1;
    this.reset();
  }

  /** Largest number of samples that are held back. */
  get latency() {
    const { lookahead, frontend } = this.#model;
    return frontend.length - 1 + (lookahead + this.#chunk - 1) * frontend.hop;
  }

  /** Forget everything, as if new. */
  reset() {
    const { frontend, stems, family, nSlow } = this.#model;
    this.#framing = new Framing(frontend, stems.length, this.nChannels, nSlow);
    this.#masking = new (family ? Masking : Decoding)(this.#model, this.nChannels);
    this.#fresh = [];
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
    const rows = [];
    // In pieces, so that the network's arrays do not grow with the block.
    const step = FRAMES_PER_CALL * this.#model.frontend.hop;
    for (let k = 0; k < block[0].length; k += step) {
      const samples = block.map((channel) => channel.subarray(k, k + step));
      this.#fresh.push(...this.#framing.cut(samples));
      const nReady = this.#fresh.length - (this.#fresh.length % this.#chunk);
      rows.push(...(await this.#advance(this.#fresh.splice(0, nReady), { last: false })));
    }
    return this.#named(rows);
  }

  async #flush() {
    const { nMissing } = this.#framing;
    const frames = [...this.#fresh, ...this.#framing.end()];
    const rows = await this.#advance(frames, { last: true });
    const rest = this.#named([...rows, ...this.#framing.rest()], nMissing);
    this.reset();
    return rest;
  }

  /** Return the rows of samples that are complete after frames. */
  async #advance(frames, { last }) {
    const separated = await this.#masking.advance(frames, { last });
    return separated.map((frame) => this.#framing.add(frame));
  }

  /** Return rows, at most `limit` samples of them, as `{stem: [Float32Array, …]}`. */
  #named(rows, limit = Infinity) {
    const nStems = this.#model.stems.length;
    const parts = Array.from({ length: nStems + 1 }, (_, part) =>
      Array.from({ length: this.nChannels }, (_, channel) =>
        join(rows.map((row) => row[part][channel])).subarray(0, limit),
      ),
    );
    // What came in becomes what the stems leave of it.
    const left = (channel) => (x, n) => parts.slice(0, -1).reduce((x, of) => x - of[channel][n], x);
    const slow = this.#model.stems.indexOf(this.#model.slowStem);
    if (slow >= 0) {
      const rest = parts[nStems].map((x, channel) => x.map(left(channel)));
      parts[slow] = parts[slow].map((x, channel) => x.map((value, n) => value + rest[channel][n]));
    }
    if (this.residual) parts[nStems] = parts[nStems].map((x, channel) => x.map(left(channel)));
    return Object.fromEntries(this.stems.map((stem, k) => [stem, parts[k]]));
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

/** Refuse numbers of channels that a model cannot be given. */
function checkChannels({ name, channels: nSeen }, nChannels) {
  if (!(nChannels >= 1)) throw new UnmaskError(`n_channels: ${nChannels}, expected 1 or more`);
  if (nSeen === 1 || nChannels === 1 || nChannels === nSeen) return;
  const numbers = Array.from({ length: nChannels }, (_, k) => k + 1);
  const groups = [];
  while (numbers.length) groups.push(numbers.splice(0, nSeen).join("+"));
  throw new UnmaskError(
    `n_channels: ${nChannels}, model ${name} sees ${nSeen} channels at once and takes ${nSeen} ` +
      `or 1; separate channels ${groups.join(", ")} by themselves`,
  );
}
