/** What activated masks do to spectra: most multiply, families of several numbers a bin do more. */

import { UnmaskError } from "./metadata.js";

/** A complex filter over frames, `lookahead` of them to come; with a single one, the product. */
const filter = ({ order = 5, lookahead = 0 }) => ({
  nComponents: order,
  past: order - 1 - lookahead,
  future: lookahead,
  apply(masks, spectra, now, masked, from, to) {
    masks.slice(0, order).forEach((mask, tap) => {
      const x = spectra[now + lookahead - tap];
      for (let f = from; f < to; f++) {
        masked.re[f] += mask.re[f] * x.re[f] - mask.im[f] * x.im[f];
        masked.im[f] += mask.re[f] * x.im[f] + mask.im[f] * x.re[f];
      }
    });
  },
});

/** Magnitude, rotation and an added magnitude; silence counts as having phase 0. */
const decoupled = () => ({
  nComponents: 3,
  past: 0,
  future: 0,
  apply([scale, turn, added], spectra, now, masked, from, to) {
    const x = spectra[now];
    for (let f = from; f < to; f++) {
      const mag = Math.hypot(x.re[f], x.im[f]);
      const [cos, sin] = mag > 0 ? [x.re[f] / mag, x.im[f] / mag] : [1, 0];
      const size = Math.max(0, scale.re[f] * mag + added.re[f]);
      masked.re[f] = size * (turn.re[f] * cos - turn.im[f] * sin);
      masked.im[f] = size * (turn.re[f] * sin + turn.im[f] * cos);
    }
  },
});

const multiply = () => filter({ order: 1 });

// The families of unmask.masks that do not multiply.
const FAMILIES = { deep_filter: filter, decoupled };

const family = (name, options) =>
  (Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : multiply)(options);

/** One family below a frequency, another above. */
function hybrid(low, nLow, high) {
  const larger = (what) => Math.max(low[what], high[what]);
  return {
    nComponents: larger("nComponents"),
    past: larger("past"),
    future: larger("future"),
    apply(masks, spectra, now, masked, from, to) {
      low.apply(masks, spectra, now, masked, from, nLow);
      high.apply(masks, spectra, now, masked, nLow, to);
    },
  };
}

/**
 * Return how masks of a family are applied.
 *
 * @param {{family: string, options?: object}} mask of a model's metadata
 * @param {number} sampleRate in Hz
 * @param {number} nFreq bins from 0 Hz to half the sample rate
 * @returns {{nComponents: number, past: number, future: number, apply: Function}}
 *   complex numbers in the mask of a bin; frames before and after its own that are looked at; and
 *   `apply(masks, spectra, now, masked, from, to)`, which adds bins `from` up to `to` of the masked
 *   frame `now` of `spectra` to `masked`. All of them are `{re, im}`, masks one for each component.
 */
export function maskFamily({ family: name, options = {} }, sampleRate, nFreq) {
  if (!name.startsWith("hybrid:")) return family(name, options);
  const half = "((?:consistent:)*\\w+)";
  const found = name.match(`^hybrid:${half}:(\\d+\\.?\\d*(?:e\\d+)?):${half}$`);
  if (!found) throw new UnmaskError(`mask family '${name}': expected hybrid:LOW:HZ:HIGH`);
  const nLow = Math.ceil((Number(found[2]) / (sampleRate / 2)) * (nFreq - 1));
  return hybrid(family(found[1], {}), Math.min(nFreq, nLow), family(found[3], {}));
}
