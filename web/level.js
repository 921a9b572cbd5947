/** The level that a network hears a recording at: the same for a whisper and for a shout. */

// RMS that counts as silence, 240 dB below full scale: it says nothing about a level.
const SILENCE = 1e-12;

/** Gains, frame by frame, that bring signals to the level that a model's metadata ask for. */
export class RunningLevel {
  #rms;
  #forgotten; // share of the mean that a frame replaces
  #unit;
  #means;
  #counts;

  /** @param {Model} model @param {number} nSignals each has its own level */
  constructor({ level, frontend, sampleRate, channels }, nSignals) {
    this.#rms = level.rms;
    this.#forgotten = -Math.expm1(-frontend.hop / sampleRate / level.seconds);
    this.#unit = 1 / (channels * frontend.energyOfOne);
    this.#means = new Float64Array(nSignals);
    this.#counts = new Float64Array(nSignals);
  }

  /** Return the gains of a frame, of every signal, of its values [signal]. */
  gains(frame) {
    return frame.map((values, signal) => {
      const energy = values.reduce((sum, x) => sum + x * x, 0);
      const rms = Math.sqrt(this.#unit * energy);
      if (rms > SILENCE) {
        const share = Math.max(1 / ++this.#counts[signal], this.#forgotten);
        this.#means[signal] += share * (rms - this.#means[signal]);
      }
      return this.#means[signal] ? Math.fround(this.#rms / this.#means[signal]) : 0;
    });
  }
}

/** Return frames [frame][signal] at that level, and their gains [frame][signal]; none: as they are. */
export function levelled(level, frames) {
  const gains = frames.map((frame) => (level ? level.gains(frame) : frame.map(() => 1)));
  const seen = frames.map((frame, k) =>
    frame.map((values, signal) => (level ? values.map((x) => x * gains[k][signal]) : values)),
  );
  return { seen, gains };
}
