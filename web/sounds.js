/** Sounds to hear side by side and to keep: the player of the Python package, which switches without a gap. */

import { encodeWav } from "./wav.js";

// Where it lies in an installed package, and in the repository.
const PLAYER = ["../listen/page/player.js", "../src/unmask/listen/page/player.js"];

let playerOf = null;

/** Return the class of the player. */
async function loadPlayer() {
  for (const path of playerOf ? [] : PLAYER) {
    playerOf = await import(path).then(({ Player }) => Player, () => null);
    if (playerOf) break;
  }
  return playerOf;
}

function make(name, attributes, ...children) {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
}

/** Sounds of one length in step, of which one is heard. */
export class Sounds {
  #urls = [];
  #player = null;
  #chosen = 0;

  /**
   * @param {[string, Float32Array[]][]} sounds names and channels
   * @param {number} sampleRate in Hz
   */
  constructor(sounds, sampleRate) {
    this.sounds = sounds;
    this.sampleRate = sampleRate;
    const duration = sounds[0][1][0].length / sampleRate;
    this.button = make("button", { type: "button", textContent: "Play", onclick: () => this.toggle() });
    this.place = make("input", { type: "range", min: 0, max: duration, step: 0.01, value: 0, ariaLabel: "Position" });
    this.place.oninput = () => this.#seek(Number(this.place.value));
    const choices = sounds.map(([name, channels], k) => this.#choice(name, channels, k));
    const set = make("fieldset", {}, make("legend", { textContent: "What is heard" }), ...choices);
    this.elements = [make("div", { className: "transport" }, this.button, this.place), set];
    this.timer = setInterval(() => {
      if (this.#player?.playing) this.place.value = this.#player.position;
    }, 50);
  }

  #choice(name, channels, k) {
    const wav = new Blob([encodeWav(channels, this.sampleRate)], { type: "audio/wav" });
    const url = URL.createObjectURL(wav);
    this.#urls.push(url);
    const onchange = () => {
      this.#chosen = k;
      this.#player?.select(k);
    };
    const input = make("input", { type: "radio", name: "heard", checked: k === 0, onchange });
    const link = make("a", { href: url, download: `${name}.wav`, textContent: "download WAV", ariaLabel: `download ${name} as WAV` });
    return make("p", {}, make("label", {}, input, ` ${name} `), link);
  }

  #buffer(channels) {
    const { sampleRate } = this;
    const [numberOfChannels, length] = [channels.length, channels[0].length];
    const buffer = new AudioBuffer({ numberOfChannels, length, sampleRate });
    channels.forEach((samples, channel) => buffer.copyToChannel(samples, channel));
    return buffer;
  }

  /** Play or pause; browsers let sound begin only while a click is handled. */
  async toggle() {
    if (!this.#player) {
      const context = new AudioContext({ sampleRate: this.sampleRate });
      const Player = await loadPlayer();
      this.#player ??= new Player(context, this.sounds.map(([, channels]) => this.#buffer(channels)));
      this.#player.active = this.#chosen;
      this.#player.offset = Number(this.place.value);
    }
    await this.#player.context.resume();
    if (this.#player.playing) this.#player.stop();
    else this.#player.start();
    this.button.textContent = this.#player.playing ? "Pause" : "Play";
  }

  #seek(seconds) {
    if (this.#player?.playing) this.#player.start(seconds);
    else if (this.#player) this.#player.offset = seconds;
  }

  close() {
    clearInterval(this.timer);
    this.#urls.forEach((url) => URL.revokeObjectURL(url));
    this.#player?.close();
    this.#player?.context.close();
  }
}
