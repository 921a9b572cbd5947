// The sounds of the checks of headphones and hearing, as samples.

/** A tone with rise and fall. */
function tone(frequency, duration, ramp, amplitude, rate) {
  const samples = new Float32Array(Math.round(duration * rate));
  const rise = Math.round(ramp * rate);
  for (let k = 0; k < samples.length; k++) {
    const edge = Math.min(1, (k + 0.5) / rise, (samples.length - k - 0.5) / rise);
    const window = Math.sin((Math.PI / 2) * edge) ** 2;
    samples[k] = amplitude * window * Math.sin((2 * Math.PI * frequency * k) / rate);
  }
  return samples;
}

function joined(parts) {
  const samples = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let start = 0;
  for (const part of parts) {
    samples.set(part, start);
    start += part.length;
  }
  return samples;
}

/** What one of the three tones of a trial is. */
export const KINDS = ["plain", "quiet", "antiphase"];

/**
 * Three tones of 200 Hz, one 6 dB quieter, one in antiphase (Woods et al. 2017, "Headphone
 * screening to facilitate web-based auditory experiments"). Loudspeakers let the antiphase tone
 * cancel itself, so that it seems the quietest; headphones do not.
 *
 * @param {string[]} order  The three of `KINDS` as they are heard.
 * @returns {Float32Array[]}  Left and right.
 */
export function headphoneTrial(order, rate) {
  const gap = new Float32Array(Math.round(0.5 * rate));
  const left = order.map((kind) => tone(200, 1, 0.1, kind === "quiet" ? 0.1 : 0.2, rate));
  const right = left.map((part, k) => (order[k] === "antiphase" ? part.map((x) => -x) : part));
  return [left, right].map((parts) => joined([parts[0], gap, parts[1], gap, parts[2]]));
}

/** Frequencies of the tones that are counted, in Hz. */
export const FREQUENCIES = [250, 500, 1000, 2000, 4000, 8000];

/** Soft tones with pauses between them, both ears alike. */
export function tonesToCount(frequencies, rate) {
  const gap = new Float32Array(Math.round(0.5 * rate));
  const parts = frequencies.flatMap((f) => [gap, tone(f, 0.5, 0.05, 0.02, rate)]);
  const samples = joined([...parts, gap]);
  return [samples, samples];
}

/** The elements in random order. */
export function shuffled(values) {
  const order = [...values];
  for (let k = order.length - 1; k > 0; k--) {
    const other = Math.floor(Math.random() * (k + 1));
    [order[k], order[other]] = [order[other], order[k]];
  }
  return order;
}
