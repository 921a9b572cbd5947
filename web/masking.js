/** Frames in, separated frames out: the network is asked, its masks are applied. */

import { FFT } from "./fft.js";
import { join } from "./framing.js";
import { RunningLevel, levelled } from "./level.js";

/** Asks a network for frames and hands out each once: how late it is, is dealt with here. */
class Pace {
  #model;
  #nSignals;
  #memory;
  #nIn = 0;
  #nOut = 0;

  constructor(model, nSignals) {
    this.#model = model;
    this.#nSignals = nSignals;
    this.#memory = model.start(nSignals);
  }

  /**
   * Return what the network gives for the frames that are due after `frames`, [frame][signal]: its
   * `values` and `dims`, (signal, source, part, channel, row, frame), and which frames these are.
   */
  async ask(frames, last) {
    const { lookahead, unit } = this.#model;
    this.#nIn += frames.length;
    let nSpare = 0;
    if (last) {
      nSpare = (unit - ((frames.length + lookahead) % unit)) % unit;
      const silence = this.#model.silence(this.#nSignals);
      frames = [...frames, ...Array(lookahead + nSpare).fill(silence)];
    }
    if (!frames.length) return { due: [] };
    const { memory, values, dims, first, nMade } = await this.#model.step(frames, this.#memory);
    this.#memory = memory;
    const nDue = Math.max(0, this.#nIn - this.#nOut - (last ? 0 : lookahead));
    this.#nOut += nDue;
    const start = first + nMade - nSpare - nDue;
    return { values, dims, due: Array.from({ length: nDue }, (_, k) => start + k) };
  }
}

/** How the channels of a stream are those of a network that sees `nSeen` of them at once. */
class Channels {
  #nSeen;
  #places; // channel -> list of [signal, channel of it]

  constructor(nSeen, nChannels) {
    this.#nSeen = nSeen;
    const place = nSeen === 1 ? (k) => [k, 0] : (k) => [0, k];
    const all = Array.from({ length: Math.max(nSeen, nChannels) }, (_, k) => place(k));
    // A network of several sees a single one several times.
    this.#places = nChannels < nSeen ? [all] : all.map((one) => [one]);
    this.nSignals = nSeen === 1 ? nChannels : 1;
  }

  /** Return signals of a frame, whose channels have `nParts` parts each: parts, then channels. */
  join(frame, nParts) {
    if (this.#nSeen === 1) return frame;
    const channels = this.#places.length === 1 ? Array(this.#nSeen).fill(frame[0]) : frame;
    const n = frame[0].length / nParts;
    const parts = Array.from({ length: nParts }, (_, part) =>
      channels.map((values) => values.subarray(part * n, (part + 1) * n)),
    );
    return [join(parts.flat())];
  }

  /** Return what a network makes of frame `k` for a source, [channel], in arrays of `size`. */
  split({ values, dims }, source, k, size) {
    const [, nSources, nParts, nChannels, n, nFrames] = dims;
    return this.#places.map((places) => {
      const mean = new Float32Array(size);
      for (const [signal, channel] of places) {
        for (let part = 0; part < nParts; part++) {
          const row = ((signal * nSources + source) * nParts + part) * nChannels + channel;
          for (let i = 0, at = row * n * nFrames + k; i < n; i++, at += nFrames) {
            mean[part * n + i] += values[at] / places.length;
          }
        }
      }
      return mean;
    });
  }
}

/** Return complex numbers that lie one array after the other: all real parts, then the others. */
function complexRows(values, nFreq) {
  const n = values.length / nFreq / 2;
  const row = (k) => values.subarray(k * nFreq, (k + 1) * nFreq);
  return Array.from({ length: n }, (_, k) => ({ re: row(k), im: row(n + k) }));
}

/** Masks on the bins of a transform. */
export class Masking {
  #model;
  #nFreq;
  #fft;
  #nChannels;
  #channels;
  #pace;
  #level;
  #spectra; // [frame][channel], those that masks to come are applied to, or look back at

  constructor(model, nChannels) {
    this.#model = model;
    this.#nFreq = model.frontend.nFreq;
    this.#fft = new FFT(model.frontend.length);
    this.#nChannels = nChannels;
    this.#channels = new Channels(model.channels, nChannels);
    this.#pace = new Pace(model, this.#channels.nSignals);
    this.#level = model.level && new RunningLevel(model, this.#channels.nSignals);
    this.#spectra = this.#silence(model.family.past);
  }

  /** Return separated frames [frame][source][channel] that are due after frames [frame][channel]. */
  async advance(frames, { last }) {
    const spectra = this.#transformed(frames);
    const features = spectra.map((frame) => this.#channels.join(frame, 2));
    const output = await this.#pace.ask(levelled(this.#level, features).seen, last);
    const { past, future } = this.#model.family;
    this.#spectra.push(...spectra, ...this.#silence(last ? future : 0));
    const masked = output.due.map((k, i) => {
      const around = this.#spectra.slice(i, i + past + 1 + future);
      return this.#model.stems.map((_, source) => this.#masked(output, source, k, around));
    });
    this.#spectra.splice(0, masked.length);
    return this.#restored(masked);
  }

  /** Return the masked spectra of a frame, of every channel. */
  #masked(output, source, k, around) {
    const { nComponents, past, apply } = this.#model.family;
    const nFreq = this.#nFreq;
    return this.#channels.split(output, source, k, 2 * nComponents * nFreq).map((mask, channel) => {
      const spectra = around.flatMap((frame) => complexRows(frame[channel], nFreq));
      const masked = new Float32Array(2 * nFreq);
      const [rows] = complexRows(masked, nFreq);
      apply(complexRows(mask, nFreq), spectra, past, rows, 0, nFreq);
      return masked;
    });
  }

  #silence(nFrames) {
    const frame = () => Array(this.#nChannels).fill(new Float32Array(2 * this.#nFreq));
    return Array.from({ length: nFrames }, frame);
  }

  /** Return the spectra of frames, [frame][channel]. */
  #transformed(frames) {
    const all = frames.flat();
    const spectra = all.map(() => new Float32Array(2 * this.#nFreq));
    const spare = new Float32Array(2 * this.#nFreq);
    for (let k = 0; k < all.length; k += 2) {
      this.#fft.forward(all[k], all[k + 1] ?? all[k], spectra[k], spectra[k + 1] ?? spare);
    }
    return frames.map((frame) => spectra.splice(0, frame.length));
  }

  /** Return the frames of spectra, [frame][source][channel]. */
  #restored(spectra) {
    const all = spectra.flat(2);
    const frames = [];
    for (let k = 0; k < all.length; k += 2) {
      const pair = this.#fft.backward(all[k], all[k + 1] ?? all[k]);
      frames.push(...pair.map((frame) => frame.slice()));
    }
    return spectra.map((frame) => frame.map((channels) => channels.map(() => frames.shift())));
  }
}

/** Frames of a network that has its own encoder and decoder; otherwise as Masking. */
export class Decoding {
  #model;
  #channels;
  #pace;
  #level;
  #gains = []; // [frame][signal], of the frames that the network has not given back

  constructor(model, nChannels) {
    this.#model = model;
    this.#channels = new Channels(model.channels, nChannels);
    this.#pace = new Pace(model, this.#channels.nSignals);
    this.#level = model.level && new RunningLevel(model, this.#channels.nSignals);
  }

  /** Return separated frames [frame][source][channel] that are due after frames [frame][channel]. */
  async advance(frames, { last }) {
    const { seen, gains } = levelled(
      this.#level,
      frames.map((frame) => this.#channels.join(frame, 1)),
    );
    this.#gains.push(...gains);
    const output = await this.#pace.ask(seen, last);
    const { stems, frontend } = this.#model;
    return output.due.map((k) => {
      const gains = this.#gains.shift();
      return stems.map((_, source) =>
        this.#channels.split(output, source, k, frontend.length).map((samples, channel) => {
          const gain = gains[channel] ?? gains[0];
          return samples.map((x) => (gain ? x / gain : 0));
        }),
      );
    });
  }
}
