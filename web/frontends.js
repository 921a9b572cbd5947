/** Front-ends: what this side does to samples before a network sees them, and afterwards. */

import { UnmaskError } from "./metadata.js";

/** Frames of a windowed signal, which are transformed; masks are applied to their bins. */
class STFT {
  constructor({ n_fft: nFft, hop, window: name }) {
    const window = windowValues(name, nFft);
    // The network sees a full-scale sine as 1.
    const unit = 2 / window.reduce((a, b) => a + b);
    Object.assign(this, { length: nFft, hop, nFreq: Math.floor(nFft / 2) + 1 });
    this.lead = Math.floor(nFft / 2); // frame 0 is centred at sample 0
    this.analysis = window.map((x) => x * unit);
    this.synthesis = window.map((x) => x / unit);
    this.weights = window.map((x) => x * x);
    this.energyOfOne = (nFft / 2) * this.analysis.reduce((sum, x) => sum + x * x, 0);
  }

  nFrames(nSamples) {
    return 1 + Math.ceil(nSamples / this.hop);
  }
}

/** Frames as they are, for networks that bring their own transform; what comes back is their sum. */
class Frames {
  constructor({ length, hop }) {
    Object.assign(this, { length, hop });
    this.lead = length - hop; // frame 0 ends with the first hop
    this.analysis = this.synthesis = new Float64Array(length).fill(1);
    this.energyOfOne = length;
    this.weights = new Float64Array(length); // a sum is not divided by anything
  }

  nFrames(nSamples) {
    return Math.ceil((nSamples + this.lead) / this.hop);
  }
}

const FRONTENDS = { stft: STFT, frames: Frames };

/**
 * Return the front-end that a model's metadata describe.
 *
 * It has frames of `length` samples every `hop`, of which `lead` lie before the first sample;
 * `nFrames(nSamples)` of a signal; what they are multiplied by on the way in (`analysis`) and out
 * (`synthesis`), and the `weights` whose sum a sum of frames is divided by; and `energyOfOne`, what a frame of noise of RMS 1
 * has. An STFT has `nFreq` bins.
 */
export function makeFrontend({ kind, ...options }) {
  if (!Object.hasOwn(FRONTENDS, kind)) {
    throw new UnmaskError(
      `model: front-end '${kind}' is not known here; there are ${Object.keys(FRONTENDS).join(", ")}`,
    );
  }
  const frontend = new FRONTENDS[kind](options);
  const { length, hop } = frontend;
  if (!(hop >= 1 && hop <= length)) {
    throw new UnmaskError(`model: hop is ${hop}, expected 1 to ${length}; export it again`);
  }
  return frontend;
}

/** Return the periodic window `name`; `sqrt_` before a name takes its root. */
function windowValues(name, n) {
  const cosines = { hann: [0.5, 0.5], hamming: [0.54, 0.46], blackman: [0.42, 0.5, 0.08] };
  const base = name.replace(/^sqrt_/, "");
  if (!Object.hasOwn(cosines, base)) {
    throw new UnmaskError(
      `window '${name}' is not known here; there are ${Object.keys(cosines).join(", ")}, ` +
        "each also with sqrt_; use the Python package",
    );
  }
  const root = name === base ? (x) => x : (x) => Math.sqrt(Math.max(x, 0));
  const term = (k) => (sum, a, m) => sum + (-1) ** m * a * Math.cos((m * 2 * Math.PI * k) / n);
  return Float64Array.from({ length: n }, (_, k) => root(cosines[base].reduce(term(k), 0)));
}
