/** Samples into overlapping frames and back, as they come. */

/**
 * The time of a stream: what is held, cut into frames, added up, and when it is out.
 *
 * Frame k covers the samples from `k * hop - lead` on. Output leaves in rows of one hop: row r are
 * the samples from `r * hop - lead` on, and is complete with frame r. What lies before the first
 * sample is dropped.
 */
export class Framing {
  #frontend;
  #nRest; // rows that are not complete when the last frame is back
  #held; // samples from the first that is not out yet, per channel
  #nAhead = 0; // frames that were cut and have not come back
  #sums; // overlapping frames, [source][channel]
  #weights; // what sums are divided by
  #nSlow; // terms of the polynomial that is taken out of every frame
  #slow;
  #nFrames = 0; // that were cut
  #nIn = 0;
  #nOut; // negative before the first sample

  constructor(frontend, nSources, nChannels, nSlow = 0) {
    const { length, hop, lead, analysis } = frontend;
    this.#frontend = frontend;
    this.#nSlow = nSlow;
    this.#slow = slow(analysis, nSlow);
    this.#nRest = Math.ceil(length / hop) - 1;
    this.#nOut = -lead;
    const channels = (n) => Array.from({ length: nChannels }, () => new Float64Array(n));
    this.#held = channels(lead);
    this.#sums = Array.from({ length: nSources }, () => channels((this.#nRest + 1) * hop));
    this.#weights = new Float64Array((this.#nRest + 1) * hop);
  }

  /** Samples that came in and are not out yet. */
  get nMissing() {
    return this.#nIn - Math.max(0, this.#nOut);
  }

  /** Take in samples, per channel; return the frames that they complete, [frame][channel]. */
  cut(samples) {
    this.#nIn += samples[0].length;
    return this.#cut(samples);
  }

  /** Return the frames that silence after the last sample completes; it counts as having come in. */
  end() {
    const { length, hop, lead } = this.#frontend;
    const nSilent = (this.#frontend.nFrames(this.#nIn) - 1) * hop + length - lead - this.#nIn;
    const frames = this.#cut(this.#held.map(() => new Float32Array(nSilent)));
    this.#nIn += nSilent;
    return frames;
  }

  #cut(samples) {
    const { length, hop, analysis } = this.#frontend;
    this.#held = this.#held.map((held, channel) => join([held, samples[channel]]));
    const first = this.#nAhead;
    const nFrames = Math.max(0, Math.floor((this.#held[0].length - length) / hop) + 1 - first);
    this.#nAhead += nFrames;
    return Array.from({ length: nFrames }, (_, k) => {
      const terms = this.#terms(this.#nFrames++);
      return this.#held.map((held) =>
        without(
          analysis.map((x, n) => x * held[(first + k) * hop + n]),
          terms,
        ),
      );
    });
  }

  /** Return what is slow in frame `k`: where the signal is, if that is partly beyond it. */
  #terms(k) {
    const { length, hop, lead, analysis } = this.#frontend;
    const start = k * hop - lead;
    if (start >= 0 && start + length <= this.#nIn) return this.#slow;
    const isIn = (n) => start + n >= 0 && start + n < this.#nIn;
    return slow(
      analysis.map((x, n) => (isIn(n) ? x : 0)),
      this.#nSlow,
    );
  }

  /**
   * Take back the next frame, [source][channel]; return the row that it completes: the samples of
   * all sources, [source][channel], and after them what came in at their places.
   */
  add(frame) {
    const { length, synthesis, weights } = this.#frontend;
    this.#nAhead--;
    this.#sums.forEach((channels, source) =>
      channels.forEach((sum, channel) => {
        const samples = frame[source][channel];
        for (let n = 0; n < length; n++) sum[n] += samples[n] * synthesis[n];
      }),
    );
    for (let n = 0; n < length; n++) this.#weights[n] += weights[n];
    return this.#row();
  }

  /** Return the rows that the last frames complete, perhaps too many. */
  rest() {
    return Array.from({ length: this.#nRest }, () => this.#row());
  }

  #row() {
    const { hop } = this.#frontend;
    const start = Math.min(hop, Math.max(0, -this.#nOut));
    // Weights of windows are zero only before the first sample or after the last.
    const finished = (x, n) => x / (this.#weights[n] || 1);
    const finish = (sum) => Float32Array.from(sum.subarray(0, hop), finished);
    const row = [...this.#sums.map((channels) => channels.map(finish)), this.#held];
    for (const sum of [...this.#sums.flat(), this.#weights]) {
      sum.copyWithin(0, hop).fill(0, sum.length - hop);
    }
    this.#held = this.#held.map((held) => held.subarray(hop));
    this.#nOut += hop;
    return row.map((channels) => channels.map((samples) => samples.subarray(start, hop)));
  }
}

const dot = (a, b) => a.reduce((sum, x, n) => sum + x * b[n], 0);

/** Return a frame without what it has of orthonormal `terms`. */
function without(frame, terms) {
  for (const term of terms) {
    const share = dot(term, frame);
    for (let n = 0; n < frame.length; n++) frame[n] -= share * term[n];
  }
  return frame;
}

/** Return what a windowed frame has of a constant, a slope, ...: orthonormal, a term a power. */
function slow(window, nTerms) {
  const terms = [];
  for (let k = 0; k < nTerms; k++) {
    const power = window.map((x, n) => x * ((2 * n) / (window.length - 1) - 1) ** k);
    const left = without(without(power.slice(), terms), terms);
    const [size, whole] = [Math.sqrt(dot(left, left)), Math.sqrt(dot(power, power))];
    // A window of few samples has no room for all.
    if (size > 1e-4 * whole) terms.push(left.map((x) => x / size));
  }
  return terms;
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
