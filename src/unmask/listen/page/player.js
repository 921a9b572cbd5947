// Clips on one clock: all of them run, one is heard, and which one changes without a gap.

/** Seconds in which one clip is faded into another. */
export const FADE_S = 0.005;

/**
 * All clips of a page, in step.
 *
 * Every clip is started at the same time of the context and runs on silently; a switch is two
 * ramps of gain at one time. So clips stay aligned to the sample, whatever is switched when.
 */
export class Player {
  /**
   * @param {BaseAudioContext} context
   * @param {AudioBuffer[]} buffers  As long as each other.
   * @param {AudioNode} destination
   */
  constructor(context, buffers, destination = context.destination) {
    this.context = context;
    this.buffers = buffers;
    this.destination = destination;
    this.duration = Math.min(...buffers.map((buffer) => buffer.duration));
    this.active = 0;
    this.loop = true;
    this.voices = [];
    this.offset = 0;
    this.startedAt = 0;
    this.onended = () => {};
  }

  get playing() {
    return this.voices.length > 0;
  }

  /** Seconds into the clips. */
  get position() {
    if (!this.playing) return this.offset;
    const passed = Math.max(0, this.context.currentTime - this.startedAt) + this.offset;
    return this.loop ? passed % this.duration : Math.min(passed, this.duration);
  }

  /** Start all clips at `when`, of which `active` is heard. */
  start(offset = this.offset, when = this.context.currentTime + 0.01) {
    this.stop(this.context.currentTime);
    this.offset = offset % this.duration;
    this.startedAt = when;
    this.voices = this.buffers.map((buffer, k) => this.#voice(buffer, k === this.active, when));
    const [first] = this.voices;
    first.source.onended = () => {
      if (this.voices[0] !== first) return; // another start has come
      this.voices = [];
      this.offset = 0;
      this.onended();
    };
  }

  #voice(buffer, heard, when) {
    const source = new AudioBufferSourceNode(this.context, {
      buffer, loop: this.loop, loopEnd: this.duration,
    });
    const gain = new GainNode(this.context, { gain: 0 });
    source.connect(gain).connect(this.destination);
    source.start(when, this.offset);
    const voice = { source, gain, ramp: { from: 0, to: 0, at: when } };
    if (heard) fade(voice, 1, when);
    return voice;
  }

  /** Let clip `k` be heard instead, from `when` on. */
  select(k, when = this.context.currentTime) {
    this.active = k;
    this.voices.forEach((voice, other) => fade(voice, other === k ? 1 : 0, when));
  }

  setLoop(loop) {
    const position = this.position; // is reckoned by the old rule
    this.loop = loop;
    for (const { source } of this.voices) source.loop = loop;
    if (this.playing) {
      this.offset = position;
      this.startedAt = Math.max(this.startedAt, this.context.currentTime);
    }
  }

  /** Stop all; the next start goes on from there. */
  stop(when = this.context.currentTime) {
    if (!this.playing) return;
    this.offset = this.position;
    for (const voice of this.voices) {
      fade(voice, 0, when);
      voice.source.onended = () => voice.gain.disconnect();
      voice.source.stop(when + 2 * FADE_S);
    }
    this.voices = [];
  }

  /** Stop, and free what the clips take. */
  close() {
    this.stop();
    this.buffers = [];
  }
}

/** Move the gain of a voice to `to` within 5 ms from `when`, from wherever it is then. */
function fade(voice, to, when) {
  const { from, to: before, at } = voice.ramp;
  const share = Math.min(1, Math.max(0, (when - at) / FADE_S));
  const now = from + (before - from) * share;
  voice.ramp = { from: now, to, at: when };
  voice.gain.gain.cancelScheduledValues(when);
  voice.gain.gain.setValueAtTime(now, when);
  voice.gain.gain.linearRampToValueAtTime(to, when + FADE_S);
}
