/** What raw maps of a network mean: the mask families with one value a bin. */

import { UnmaskError } from "./metadata.js";

const sigmoid = (x) => 0.5 * (1 + Math.tanh(0.5 * x));
const softplus = (x) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0);

/** A family of one map: the mask is a real number. */
const real = (activate) => ({
  nMaps: 1,
  activate(x, _, mask) {
    mask.re = activate(x);
    mask.im = 0;
  },
});

/** A family of two maps, real and imaginary part, each activated by itself. */
const parts = (activate) => ({
  nMaps: 2,
  activate(x, y, mask) {
    mask.re = activate(x);
    mask.im = activate(y);
  },
});

/** `limit * tanh(|O|) * O / |O|`. */
const tanhMagnitude = ({ limit = 1 }) => ({
  nMaps: 2,
  activate(x, y, mask) {
    const mag = Math.hypot(x, y);
    const gain = mag > 0 ? (limit * Math.tanh(mag)) / mag : limit;
    mask.re = gain * x;
    mask.im = gain * y;
  },
});

const amplitude = (limit) => real(limit === Infinity ? softplus : (x) => limit * sigmoid(x));

// Name -> the family of these options; as in unmask.masks, where each is explained.
const FAMILIES = {
  irm1: () => real(sigmoid),
  irm2: () => real(sigmoid),
  irm_sqrt: () => real(sigmoid),
  iam_clip1: ({ limit = 1 }) => amplitude(limit ?? Infinity),
  iam_clip2: ({ limit = 2 }) => amplitude(limit ?? Infinity),
  iam: ({ limit = Infinity }) => amplitude(limit ?? Infinity),
  psm_unit: () => real(sigmoid),
  psm_signed: () => real(Math.tanh),
  psm: () => real((x) => x),
  complex_sigmoid_parts: () => parts(sigmoid),
  complex_tanh: tanhMagnitude,
  complex_tanh_parts: () => parts(Math.tanh),
  complex: () => parts((x) => x),
};

function family(name, options) {
  const found = Object.hasOwn(FAMILIES, name) ? FAMILIES[name](options) : undefined;
  const unknown = Object.keys(options).filter((option) => option !== "limit");
  if (!found || unknown.length) {
    throw new UnmaskError(
      `mask family '${name}' ${unknown.length ? `with ${unknown} ` : ""}is not known here; ` +
        `there are ${Object.keys(FAMILIES).join(", ")} and hybrid:LOW:HZ:HIGH of any two; ` +
        "use the Python package",
    );
  }
  return found;
}

/**
 * Return how the bins of a spectrum are masked.
 *
 * @param {{family: string, options?: object}} mask of a model's metadata
 * @param {number} sampleRate in Hz
 * @param {number} nFreq bins from 0 Hz to half the sample rate
 * @returns {{nMaps: number, of: (bin: number) => {nMaps: number, activate: Function}}}
 *   `activate(x, y, mask)` writes the mask of the maps x and y to `mask.re` and `mask.im`
 */
export function maskFamily({ family: name, options = {} }, sampleRate, nFreq) {
  if (!name.startsWith("hybrid:")) {
    const only = family(name, options);
    return { nMaps: only.nMaps, of: () => only };
  }
  const [low, hz, high] = name.split(":").slice(1);
  const halves = [family(low, {}), family(high ?? "", {})];
  const nLow = Math.min(nFreq, Math.ceil((Number(hz) / (sampleRate / 2)) * (nFreq - 1)));
  return {
    nMaps: Math.max(halves[0].nMaps, halves[1].nMaps),
    of: (bin) => halves[bin < nLow ? 0 : 1],
  };
}
