// Clips on one clock: all of them run, one is heard, and which one changes without a gap.

/** Seconds in which one clip is faded into another. */
export const FADE_S = 0.005;

/** Seconds ahead at which clips are started, so that all of them are told in time. */
const AHEAD_S = 0.02;

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
    this.levels = buffers.map(() => 1);
    this.active = 0; // null is all of them, mixed
    this.loop = true;
    this.region = [0, this.duration];
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
    return this.#positionAt(this.context.currentTime);
  }

  #positionAt(time) {
    if (!this.playing) return this.offset;
    const reached = Math.max(0, time - this.startedAt) + this.offset;
    const [from, to] = this.region;
    if (!this.loop) return Math.min(reached, this.duration);
    return reached < to ? reached : from + ((reached - from) % (to - from));
  }

  /** Start all clips at `when`, of which `active` is heard; what plays is faded into it. */
  start(offset = this.offset, when = this.context.currentTime + AHEAD_S) {
    this.stop(when);
    const [from, to] = this.region;
    this.offset = offset >= this.duration ? 0 : Math.max(0, offset);
    if (this.loop && (this.offset < from || this.offset >= to)) this.offset = from;
    this.startedAt = when;
    this.voices = this.buffers.map((buffer, k) => this.#voice(buffer, this.#level(k), when));
    const [first] = this.voices;
    first.source.onended = () => {
      if (this.voices[0] !== first) return; // another start has come
      this.voices = [];
      this.offset = 0;
      this.onended();
    };
  }

  #level(k) {
    return k === this.active || this.active === null ? this.levels[k] : 0;
  }

  #voice(buffer, level, when) {
    const source = new AudioBufferSourceNode(this.context, {
      buffer, loop: this.loop, loopStart: this.region[0], loopEnd: this.region[1],
    });
    const gain = new GainNode(this.context, { gain: 0 });
    source.connect(gain).connect(this.destination);
    source.start(when, this.offset);
    const voice = { source, gain, ramp: { from: 0, to: 0, at: when } };
    if (level) fade(voice, level, when);
    return voice;
  }

  /** Let clip `k` be heard instead, from `when` on. */
  select(k, when = this.context.currentTime) {
    this.active = k;
    this.voices.forEach((voice, other) => fade(voice, this.#level(other), when));
  }

  /** Play clips at other levels, each a factor. */
  setLevels(levels, when = this.context.currentTime) {
    this.levels = levels;
    this.select(this.active, when);
  }

  /** Repeat, or play to the end; and what is repeated, in seconds. */
  setLoop(loop, region = this.region) {
    const when = this.context.currentTime + AHEAD_S;
    const position = this.#positionAt(when); // is reckoned by the old rule
    this.loop = loop;
    const again = this.playing; // fades into itself, which is not heard
    if (again) this.stop(when);
    this.region = region;
    if (again) this.start(position, when);
  }

  /** Stop all; the next start goes on from there. */
  stop(when = this.context.currentTime) {
    if (!this.playing) return;
    this.offset = this.#positionAt(when);
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
