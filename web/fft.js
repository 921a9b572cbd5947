/** The discrete Fourier transform of real frames of any length. */

/** Return the prime factors of `n`, pairs of twos as fours, which cost less. */
function factors(n) {
  const found = [];
  for (let p = 4; n > 1; p = p === 4 ? 2 : p === 2 ? 3 : p + 2) {
    for (; n % p === 0; n /= p) found.push(p);
  }
  return found;
}

/**
 * Transforms two real frames at a time, as the real and the imaginary part of one complex frame:
 * half the work, and odd lengths are no special case. Quick when the prime factors of the length
 * are small (Stockham's order, so nothing is permuted).
 *
 * A spectrum is a Float32Array: `nFreq` real parts, then `nFreq` imaginary parts.
 */
export class FFT {
  #n;
  #factors;
  #cos;
  #sin;
  #buffers;

  /** @param {number} n samples of a frame, 1 or more */
  constructor(n) {
    this.#n = n;
    this.nFreq = Math.floor(n / 2) + 1;
    this.#factors = factors(n);
    this.#cos = Float64Array.from({ length: n }, (_, k) => Math.cos((2 * Math.PI * k) / n));
    this.#sin = Float64Array.from({ length: n }, (_, k) => -Math.sin((2 * Math.PI * k) / n));
    this.#buffers = [0, 1, 2, 3].map(() => new Float64Array(n));
  }

  /** Write the spectra of the frames `a` and `b` to `first` and `second`. */
  forward(a, b, first, second) {
    this.#buffers[0].set(a);
    this.#buffers[1].set(b);
    const [re, im] = this.#transform();
    const nFreq = this.nFreq;
    for (let k = 0; k < nFreq; k++) {
      const mirror = k ? this.#n - k : 0;
      first[k] = (re[k] + re[mirror]) / 2;
      first[nFreq + k] = (im[k] - im[mirror]) / 2;
      second[k] = (im[k] + im[mirror]) / 2;
      second[nFreq + k] = (re[mirror] - re[k]) / 2;
    }
  }

  /** Return the frames of the spectra `first` and `second`, until the next call overwrites them. */
  backward(first, second) {
    const nFreq = this.nFreq;
    // The inverse is the transform with real and imaginary parts in each other's place.
    const [im, re] = this.#buffers;
    for (let k = 0; k < nFreq; k++) {
      const mirror = k ? this.#n - k : 0;
      // The frames are real: these bins have no imaginary part.
      const turns = k === mirror ? 0 : 1 / this.#n;
      const [aRe, bRe] = [first[k] / this.#n, second[k] / this.#n];
      const [aIm, bIm] = [first[nFreq + k] * turns, second[nFreq + k] * turns];
      re[mirror] = aRe + bIm;
      im[mirror] = bRe - aIm;
      re[k] = aRe - bIm;
      im[k] = bRe + aIm;
    }
    return this.#transform().reverse();
  }

  /** Transform what the first two buffers hold; return the two that hold the result. */
  #transform() {
    let [re, im, toRe, toIm] = this.#buffers;
    let length = this.#n;
    for (const p of this.#factors) {
      const stage = p === 4 ? this.#four : this.#any;
      stage.call(this, re, im, toRe, toIm, p, length);
      length /= p;
      [re, im, toRe, toIm] = [toRe, toIm, re, im];
    }
    return [re, im];
  }

  /** Turn interleaved transforms of `length` into `p` times as many, `p` times shorter. */
  #any(re, im, toRe, toIm, p, length) {
    const [n, cos, sin] = [this.#n, this.#cos, this.#sin];
    const stride = n / length;
    for (let k = 0; k < n / p; k++) {
      const [step, at] = [k - (k % stride), k % stride];
      for (let t = 0; t < p; t++) {
        let [sumRe, sumIm] = [0, 0];
        // The angle of tap r: that of a transform of p points, and k's twiddle.
        const turn = (t * (n / p)) % n;
        for (let r = 0, angle = (step * t) % n; r < p; r++, angle = (angle + turn) % n) {
          const from = k + r * (n / p);
          sumRe += re[from] * cos[angle] - im[from] * sin[angle];
          sumIm += re[from] * sin[angle] + im[from] * cos[angle];
        }
        toRe[step * p + t * stride + at] = sumRe;
        toIm[step * p + t * stride + at] = sumIm;
      }
    }
  }

  /** Do the same for four, whose twiddles inside are signs. */
  #four(re, im, toRe, toIm, p, length) {
    const [n, cos, sin] = [this.#n, this.#cos, this.#sin];
    const [stride, quarter] = [n / length, n / 4];
    for (let k = 0; k < quarter; k++) {
      const [k1, k2, k3] = [k + quarter, k + 2 * quarter, k + 3 * quarter];
      const [evenRe, evenIm] = [re[k] + re[k2], im[k] + im[k2]];
      const [oddRe, oddIm] = [re[k1] + re[k3], im[k1] + im[k3]];
      const [leftRe, leftIm] = [re[k] - re[k2], im[k] - im[k2]];
      const [rightRe, rightIm] = [im[k1] - im[k3], re[k3] - re[k1]];
      const step = k - (k % stride);
      const to = step * 4 + (k % stride);
      toRe[to] = evenRe + oddRe;
      toIm[to] = evenIm + oddIm;
      for (let t = 1; t < 4; t++) {
        const sign = t === 1 ? 1 : -1;
        const x = t === 2 ? evenRe - oddRe : leftRe + sign * rightRe;
        const y = t === 2 ? evenIm - oddIm : leftIm + sign * rightIm;
        const [c, s] = [cos[step * t], sin[step * t]];
        toRe[to + t * stride] = x * c - y * s;
        toIm[to + t * stride] = x * s + y * c;
      }
    }
  }
}
