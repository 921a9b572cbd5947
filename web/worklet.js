/**
 * The half of a live separation that runs on the audio thread. ONNX Runtime Web cannot: it needs
 * `import()` and `fetch`, which an AudioWorklet has not. So blocks of samples go to a worker and come
 * back through a port of their own (no page, no SharedArrayBuffer, no headers of a server), and every
 * sample is played a fixed time after it was heard. One that is not back by then is silence.
 */

class Separated extends AudioWorkletProcessor {
  #port;
  #delay;
  #most;
  #block; // what was heard and is not sent yet, per channel
  #filled = 0;
  #ring; // what came back, sample n at the place n modulo its length, per channel
  #nHeard = 0;
  #nBack = 0;
  #nLate = 0;
  #told = 0;

  constructor({ processorOptions: { nChannels, block, delay, most } }) {
    super();
    const channels = (n) => Array.from({ length: nChannels }, () => new Float32Array(n));
    Object.assign(this, { fresh: () => channels(block) });
    this.#delay = delay;
    this.#most = most;
    this.#block = channels(block);
    this.#ring = channels(delay + block);
    this.port.onmessage = ({ data: port }) => {
      this.#port = port;
      port.onmessage = ({ data }) => this.#take(data);
    };
  }

  #take(channels) {
    const size = this.#ring[0].length;
    this.#ring.forEach((ring, k) =>
      channels[k].forEach((x, n) => (ring[(this.#nBack + n) % size] = x)),
    );
    this.#nBack += channels[0].length;
  }

  process([input], [output]) {
    if (!this.#port) return true; // nothing is heard before the worker is there
    const [n, size] = [output[0].length, this.#ring[0].length];
    for (let k = 0; k < n; k++) {
      this.#hear(input, k);
      const at = this.#nHeard - 1 - this.#delay;
      if (at < 0) continue;
      if (at < this.#nBack) output.forEach((x, c) => (x[k] = this.#ring[c][at % size]));
      else this.#nLate++;
    }
    return this.#report();
  }

  #hear(input, k) {
    this.#block.forEach((x, c) => (x[this.#filled] = input[c]?.[k] ?? 0));
    this.#nHeard++;
    if (++this.#filled < this.#block[0].length) return;
    this.#port.postMessage(
      this.#block,
      this.#block.map((x) => x.buffer),
    );
    this.#block = this.fresh();
    this.#filled = 0;
  }

  /** Say once a second how much was late; end where the worker cannot keep up. */
  #report() {
    const isLost = this.#nHeard - this.#nBack > this.#most;
    if (isLost || this.#nHeard - this.#told >= sampleRate) {
      this.#told = this.#nHeard;
      this.port.postMessage({ nHeard: this.#nHeard, nLate: this.#nLate, isLost });
    }
    return !isLost;
  }
}

registerProcessor("unmask-separated", Separated);
