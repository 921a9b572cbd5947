// What one hears and sees of a recording: player, tracks, and the keys for both.

import { choice, clock, h, speak, tick } from "./dom.js";
import { Player } from "../../listen/page/player.js";
import { Tracks, kindOf } from "./tracks.js";

const SEEK_S = 1;

const KEYS = [
  ["Space", "play or pause"], ["1 to 9", "what is heard"], ["S", "next stem (Shift: the one before)"],
  ["← →", "1 s back or on"], ["Home", "to the beginning"], ["[ ]", "repeat from here, to here"],
  ["L", "repeat or not"], ["Esc", "repeat all again"], ["M", "equally loud or not"], ["+ −", "zoom"],
];

/** What one hears and sees of a recording, and all controls of it. */
export class View {
  /**
   * @param {object} recording
   * @param {AudioBuffer[]} buffers
   * @param {object} told  stem: called with the stem that is shown; pictureOf: of a file, its address;
   *   reference: what the loudest of pictures is of.
   */
  constructor(recording, buffers, told = {}) {
    this.recording = recording;
    this.buffers = buffers;
    this.told = { stem: () => {}, reference: "mixture", ...told };
    this.gains = recording.sounds.map(() => 1);
    this.context = null;
    this.player = null;
    this.stem = this.version = 0;
    this.position = 0;
    this.region = null;
    this.loop = true;
    this.matched = true;
    this.#make();
    this.#showStem();
    this.#tick();
  }

  get #stem() { return this.recording.stems[this.stem]; }
  get #sound() { return this.#stem.versions[this.version].sound; }
  get #levels() {
    if (this.#sound === null) return this.gains; // all of them, mixed
    return this.recording.sounds.map(({ gain = 1 }) => (this.matched ? gain : 1));
  }
  get #called() {
    return [this.#stem.name, this.#stem.versions[this.version].label].filter(Boolean).join(", ");
  }

  #make() {
    const { stems, duration, measure, most } = this.recording;
    this.play = h("button", { type: "button", class: "play", onclick: () => this.toggle() });
    this.time = h("output", { class: "time" });
    this.seeker = h("input", {
      type: "range", min: 0, max: duration, step: 0.01, value: 0, "aria-label": "Position",
      oninput: () => this.seek(Number(this.seeker.value)),
    });
    this.stems = stems.length > 1
      ? choice("Stem", stems.map(({ name }) => ({ text: name })), 0, (k) => this.pickStem(k)) : null;
    this.versions = h("div", { class: "slot" });
    this.loops = tick("Loop", "L", true, (on) => this.setLoop(on, this.region));
    this.match = tick("Equally loud", "M", true, () => this.setMatched(this.match.input.checked));
    this.match.label.title = `By ${measure === "RMS" ? "root mean square" : "loudness (ITU-R BS.1770)"}; `
      + `what is quieter than the first by more than ${most} dB stays quieter.`;
    this.shortcuts = tick("Keys", null, true, () => {});
    const zoom = [["−", -1, "Zoom out"], ["+", 1, "Zoom in"]].map(([text, steps, label]) => h("button", {
      type: "button", class: "small", "aria-label": label, title: label, onclick: () => this.zoom(steps),
    }, text));
    const help = h("details", { class: "help" }, h("summary", {}, "Keys"), h("div", { class: "card" },
      this.shortcuts.label, h("dl", {}, KEYS.map(([key, text]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)))),
      h("p", {}, "Click a track to hear it from there; draw over a stretch to repeat it.")));
    this.shortcuts.label.querySelector("span").textContent = "Keys are on";
    this.bar = h("section", { class: "player", "aria-label": "Player" },
      h("div", { class: "line" }, this.play, this.versions, this.stems?.set),
      h("div", { class: "line" }, this.seeker, this.time, this.loops.label, measure ? this.match.label : null,
        h("div", { class: "zoom" }, zoom), help));
    this.sheets = h("div", {});
    this.element = h("div", {}, this.bar, this.sheets);
    this.#showPlaying();
  }

  /** Show the stem that is chosen; its tracks are made once it is looked at. */
  #showStem() {
    const { versions } = this.#stem;
    this.version = Math.min(this.version, versions.length - 1);
    this.chosen = choice("Version", versions.map((version, k) => ({
      text: version.label, kind: kindOf(version), key: `${k + 1}`, about: version.about,
    })), this.version, (k) => this.pick(k));
    this.versions.replaceChildren(this.chosen.set);
    this.tracks = new Tracks(this.recording, this.#stem, this.buffers, {
      pick: (k) => this.pick(k), seek: (s) => this.seek(s), mark: (region) => this.setLoop(true, region),
      pictureOf: this.told.pictureOf,
    });
    this.sheets.replaceChildren(this.tracks.element, coloursOf(this.recording, this.#stem, this.told.reference));
    this.tracks.choose(this.version);
    this.tracks.mark(this.region);
    this.tracks.at(this.position);
    requestAnimationFrame(() => this.tracks.draw());
    this.told.stem(this.#stem);
  }

  #showPlaying() {
    const playing = this.player?.playing ?? false;
    this.play.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.play.title = `${playing ? "Pause" : "Play"} (space)`;
    this.play.classList.toggle("playing", playing);
    document.documentElement.dataset.playing = playing;
  }

  #showPosition() {
    const { start, duration } = this.recording;
    const text = `${clock(start + this.position)} / ${clock(start + duration)}`;
    if (this.time.value !== text) this.time.value = text;
    this.seeker.value = this.position;
    this.seeker.setAttribute("aria-valuetext", `${this.position.toFixed(1)} of ${duration.toFixed(1)} seconds`);
    this.tracks.at(this.position, this.player?.playing);
  }

  #tick() {
    if (this.closed) return;
    if (this.player?.playing) this.position = this.player.position;
    this.#showPosition();
    requestAnimationFrame(() => this.#tick());
  }

  /** Open the sound, which browsers allow only while a click or key is handled. */
  #open() {
    if (this.player) return;
    try {
      this.context = new AudioContext({ sampleRate: this.recording.rate, latencyHint: "interactive" });
    } catch { // a rate that the browser does not play
      this.context = new AudioContext({ latencyHint: "interactive" });
    }
    this.player = new Player(this.context, this.buffers);
    this.player.levels = this.#levels;
    this.player.active = this.#sound;
    this.player.loop = this.loop;
    this.player.region = this.region ?? [0, this.player.duration];
    this.player.onended = () => { this.position = 0; this.#showPlaying(); };
  }

  async toggle() {
    this.#open();
    if (this.player.playing) {
      this.position = this.player.position;
      this.player.stop();
    } else {
      await this.context.resume();
      this.player.start(this.position);
    }
    this.#showPlaying();
    speak(this.player.playing ? `Playing ${this.#called}` : "Paused");
  }

  /** Hear another version. */
  pick(k) {
    if (!(k in this.#stem.versions)) return;
    this.version = k;
    this.#hear();
    this.chosen.choose(k);
    this.tracks.choose(k);
    speak(this.#called);
  }

  #hear() {
    this.player?.select(this.#sound);
    this.player?.setLevels(this.#levels);
  }

  /** Mix sounds with other factors, one each. */
  mix(gains) {
    this.gains = gains;
    if (this.#sound === null) this.player?.setLevels(gains);
  }

  /** Hear another stem, in the same version where it has that. */
  pickStem(k) {
    if (!(k in this.recording.stems) || k === this.stem) return;
    const { kind } = this.#stem.versions[this.version];
    const zoom = this.tracks.zoom;
    this.stem = k;
    this.version = Math.max(0, this.#stem.versions.findIndex((version) => version.kind === kind));
    this.stems?.choose(k);
    this.#showStem();
    for (let factor = 1; factor < zoom; factor *= 2) this.tracks.magnify(1, this.position);
    this.#hear();
    speak(this.#called);
  }

  seek(seconds) {
    this.position = Math.min(Math.max(0, seconds), this.recording.duration - 0.001);
    if (this.player?.playing) this.player.start(this.position);
    this.#showPosition();
  }

  /** Repeat or not, and which stretch; null for all. */
  setLoop(on, region) {
    const least = 0.05;
    this.loop = on;
    this.region = region && region[1] - region[0] >= least ? region : null;
    this.loops.input.checked = on;
    this.tracks.mark(this.region);
    if (this.region && !this.player?.playing) this.position = this.region[0];
    this.player?.setLoop(on, this.region ?? [0, this.player.duration]);
    speak(!on ? "Loop off" : this.region ? `Loop from ${this.region.map((s) => s.toFixed(1)).join(" to ")} seconds` : "Loop over all");
  }

  setMatched(on) {
    this.matched = on;
    this.match.input.checked = on;
    this.player?.setLevels(this.#levels);
    speak(on ? "Equally loud" : "As loud as they are");
  }

  zoom(steps) {
    speak(`Zoom ${this.tracks.magnify(steps, this.position)}`);
  }

  /** Do what a key says; returns whether it says anything. */
  key(event) {
    const [from, to] = this.region ?? [0, this.recording.duration];
    const here = this.position;
    const stems = this.recording.stems.length;
    const done = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.seek(here - SEEK_S),
      ArrowRight: () => this.seek(here + SEEK_S),
      Home: () => this.seek(this.loop ? from : 0),
      "[": () => this.setLoop(true, [here, to > here ? to : this.recording.duration]),
      "]": () => this.setLoop(true, [from < here ? from : 0, here]),
      l: () => this.setLoop(!this.loop, this.region),
      Escape: () => this.setLoop(this.loop, null),
      m: () => this.setMatched(!this.matched),
      s: () => this.pickStem((this.stem + 1) % stems),
      S: () => this.pickStem((this.stem + stems - 1) % stems),
      "+": () => this.zoom(1), "=": () => this.zoom(1), "-": () => this.zoom(-1),
    };
    const action = /^[1-9]$/.test(event.key) ? () => this.pick(Number(event.key) - 1)
      : done[event.key] ?? done[event.key.toLowerCase()];
    action?.();
    return Boolean(action);
  }

  close() {
    this.closed = true;
    this.player?.close();
    this.context?.close();
  }
}

/** What the colours of a stem's pictures mean. */
function coloursOf(recording, stem, reference) {
  const masked = stem.versions.some(({ mask }) => mask);
  const scale = (kind, from, to, words) => h("li", {}, from, h("span", { class: `colours ${kind}` }), to, h("span", { class: "quiet" }, words));
  return h("ul", { class: "legend" },
    scale("magma", `−${recording.range}`, "0 dB", `level below the loudest of the ${reference}; log frequency in Hz`),
    masked ? scale("viridis", "0", `${stem.limit}`, "mask: what part of the mixture's magnitude passes; grey where it is silent") : null);
}

const CLICKED = "button, input:is([type=radio], [type=checkbox], [type=range])";

/** Let keys do what they say to the view of the moment, if there is one. */
export function listenForKeys(current) {
  window.addEventListener("keydown", (event) => {
    const { target } = event;
    const view = current();
    if (!view || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (!view.shortcuts.input.checked) return;
    // Space and arrows are those of what has the focus.
    const own = target.closest("button, summary, a, input");
    if (own && [" ", "Enter"].includes(event.key)) return;
    if (target.matches("select, input[type=number]")) return;
    if (target.matches("input") && /^(Arrow|Home)/.test(event.key)) return;
    if (view.key(event)) event.preventDefault();
  });
  // After a click the space bar is the player's again, not that of what was clicked.
  window.addEventListener("click", (event) => {
    if (event.detail > 0 && document.activeElement?.matches(CLICKED)) document.activeElement.blur();
  });
}
