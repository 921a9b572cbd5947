// The sounds of a page: decoded, and looked at as waveforms.

/** Return the bytes of a file of the page. */
function bytesOf(name) {
  const text = document.getElementById(name).textContent;
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/** Return the address of a picture of the page. */
export function pictureOf(name) {
  return `data:image/png;base64,${document.getElementById(name).textContent}`;
}

/** Decode all sounds of a recording at its own rate; differences are taken of what was decoded. */
export async function decoded(recording) {
  const context = new OfflineAudioContext(1, 1, recording.rate);
  const buffers = [];
  for (const sound of recording.sounds) {
    if (sound.audio) buffers.push(await context.decodeAudioData(bytesOf(sound.audio).buffer));
    else buffers.push(difference(...sound.minus.map((k) => buffers[k])));
  }
  return buffers;
}

function difference(a, b) {
  const buffer = new AudioBuffer({
    numberOfChannels: a.numberOfChannels, length: a.length, sampleRate: a.sampleRate,
  });
  for (let channel = 0; channel < a.numberOfChannels; channel++) {
    const [x, y] = [a, b].map((from) => from.getChannelData(channel));
    buffer.copyToChannel(x.map((value, k) => value - y[k]), channel);
  }
  return buffer;
}

/** Return the least and largest sample of all channels in each of `n` parts, one after the other. */
export function extremes(buffer, n) {
  const found = new Float32Array(2 * n);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const x = buffer.getChannelData(channel);
    for (let k = 0; k < n; k++) {
      const end = Math.floor(((k + 1) * x.length) / n);
      for (let at = Math.floor((k * x.length) / n); at < end; at++) {
        if (x[at] < found[2 * k]) found[2 * k] = x[at];
        if (x[at] > found[2 * k + 1]) found[2 * k + 1] = x[at];
      }
    }
  }
  return found;
}
