/** Return a waveform as the bytes of a WAV file of 32-bit floating point: nothing is clipped. */
export function encodeWav(channels, sampleRate) {
  const [nChannels, nSamples, nHead] = [channels.length, channels[0].length, 44];
  const view = new DataView(new ArrayBuffer(nHead + 4 * nChannels * nSamples));
  const text = (at, word) => [...word].forEach((c, k) => view.setUint8(at + k, c.charCodeAt(0)));
  const [floatingPoint, nBytes] = [3, 4 * nChannels];
  text(0, "RIFF");
  view.setUint32(4, view.byteLength - 8, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, floatingPoint, true);
  view.setUint16(22, nChannels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * nBytes, true);
  view.setUint16(32, nBytes, true);
  view.setUint16(34, 32, true);
  text(36, "data");
  view.setUint32(40, nSamples * nBytes, true);
  for (let n = 0; n < nSamples; n++) {
    channels.forEach((samples, c) => view.setFloat32(nHead + n * nBytes + 4 * c, samples[n], true));
  }
  return view.buffer;
}
