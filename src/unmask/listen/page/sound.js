// The one audio context of the page, and what passes through it.

let context = null;
let meter = null;

/** Open the sound, or wake it; browsers allow that only while a click or key is handled. */
export async function unlock() {
  if (!context) {
    context = new AudioContext({ latencyHint: "interactive" });
    meter = new AnalyserNode(context, { fftSize: 2048 });
    meter.connect(context.destination);
  }
  if (context.state !== "running") await context.resume();
  return context;
}

export const isOpen = () => context !== null && context.state === "running";
export const output = () => meter;

/** Decode a sound file; resolves once all of it is there. */
export const decode = (file) => context.decodeAudioData(file);

/** Level of what is played now: its root mean square, full scale 1. */
export function level() {
  if (!meter) return 0;
  const samples = new Float32Array(meter.fftSize);
  meter.getFloatTimeDomainData(samples);
  return Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
}

/** Play channels of samples once; resolves at their end. */
export function play(channels, sampleRate) {
  const buffer = new AudioBuffer({
    numberOfChannels: channels.length, length: channels[0].length, sampleRate,
  });
  channels.forEach((channel, k) => buffer.copyToChannel(channel, k));
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(meter);
  source.start();
  return new Promise((resolve) => { source.onended = resolve; });
}
