// Versions of a stem below one another on one axis of time: waveform, spectrogram, mask.

import { clock, decibels, h } from "./dom.js";
import { extremes, pictureOf } from "./sounds.js";

const TICKS_HZ = [100, 1000, 10000];
const ZOOMS = [1, 2, 4, 8];
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600];
const TICK_PX = 64;
const DRAG_PX = 5;

/** The tracks of one stem. */
export class Tracks {
  /**
   * @param {object} recording
   * @param {object} stem
   * @param {AudioBuffer[]} buffers
   * @param {{pick: Function, seek: Function, mark: Function, pictureOf: Function}} told  Of what is
   *   done with the mouse; and the address of a picture, if it is not in the page.
   */
  constructor(recording, stem, buffers, told) {
    Object.assign(this, { recording, stem, buffers, told, zoom: 1 });
    const versions = stem.versions.filter(({ sound }) => sound !== null); // a mix has no track
    const heard = versions.map((version) => buffers[version.sound]);
    this.peak = Math.max(...heard.map((buffer) => {
      const found = extremes(buffer, 1);
      return Math.max(-found[0], found[1]);
    })) || 1;
    this.head = h("div", { class: "head", "aria-hidden": "true" });
    this.region = h("div", { class: "region", hidden: true });
    this.ruler = h("div", { class: "ruler", "aria-hidden": "true" });
    this.rows = versions.map((version, k) => this.#row(version, k));
    this.lanes = h("div", { class: "lanes" }, this.ruler, this.rows.map(({ lane }) => lane),
      this.region, this.head);
    this.sheet = h("div", { class: "sheet" }, this.lanes);
    this.element = h("div", { class: "tracks" },
      h("div", { class: "names" }, h("div", { class: "corner" }, "time"), this.rows.map(({ name }) => name)),
      h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Tracks" }, this.sheet));
    this.#listen();
  }

  #row(version, k) {
    const score = this.stem.scores?.[version.kind];
    const name = h("button", {
      class: "name", type: "button", "data-kind": kindOf(version), title: version.about,
      onclick: () => this.told.pick(k),
    }, h("b", {}, version.label),
    score && version.kind !== "target" ? h("span", { class: "score" }, `SDR ${decibels(score.SDR)} dB`) : null,
    version.mask ? h("span", { class: "sort" }, "spectrogram") : null,
    version.mask ? h("span", { class: "sort low" }, "mask") : null);
    const canvas = h("canvas", { class: "wave", role: "img", "aria-label": `Waveform: ${this.#called(version)}` });
    const sound = this.recording.sounds[version.sound];
    const pictures = [this.#picture(sound.picture, `Spectrogram: ${this.#called(version)}`)];
    if (version.mask) {
      pictures.push(this.#picture(version.mask,
        `Mask, what part of the mixture passes: ${this.#called(version)}`));
    }
    const lane = h("div", { class: "lane", "data-kind": kindOf(version), "data-place": k }, canvas, pictures);
    return { name, lane, canvas, version };
  }

  #called(version) {
    return this.stem.name ? `${this.stem.name}, ${version.label}` : version.label;
  }

  #picture(file, alt) {
    const frame = h("div", { class: "picture" }, h("img", { src: (this.told.pictureOf ?? pictureOf)(file), alt, draggable: "false" }));
    const [low, high] = this.recording.band;
    for (const hz of TICKS_HZ.filter((tick) => tick > 1.5 * low && tick < high)) {
      const line = h("i", { class: "tick-hz", "aria-hidden": "true" }, hz < 1000 ? `${hz}` : `${hz / 1000}k`);
      line.style.bottom = `${(100 * Math.log(hz / low)) / Math.log(high / low)}%`;
      frame.append(line);
    }
    return frame;
  }

  #drawRuler() {
    const { duration, start } = this.recording;
    const most = Math.max(2, (this.ruler.clientWidth || 900) / TICK_PX);
    const step = STEPS_S.find((s) => duration / s <= most) ?? 1200;
    this.ruler.replaceChildren();
    for (let k = Math.ceil(start / step - 1e-6); k * step < start + duration; k++) {
      const mark = h("span", {}, step < 1 ? clock(k * step) : clock(k * step).replace(/\.0$/, ""));
      mark.style.left = `${(100 * (k * step - start)) / duration}%`;
      this.ruler.append(mark);
    }
  }

  /** Draw ruler and waveforms anew, in the colours and widths of the moment. */
  draw() {
    this.#drawRuler();
    for (const { canvas, version } of this.rows) {
      const { width, height } = canvas.getBoundingClientRect();
      if (!width) continue;
      const ratio = window.devicePixelRatio || 1;
      const n = canvas.width = Math.min(16000, Math.round(width * ratio));
      const tall = canvas.height = Math.round(height * ratio);
      const context = canvas.getContext("2d");
      context.fillStyle = getComputedStyle(canvas).color;
      const found = extremes(this.buffers[version.sound], n);
      const y = (x) => (tall / 2) * (1 - (0.94 * x) / this.peak);
      for (let k = 0; k < n; k++) {
        const top = y(found[2 * k + 1]);
        context.fillRect(k, top, 1, Math.max(ratio, y(found[2 * k]) - top));
      }
    }
  }

  /** Show which version is heard. */
  choose(k) {
    this.rows.forEach(({ name, lane }, other) => {
      name.setAttribute("aria-pressed", other === k);
      lane.classList.toggle("heard", other === k);
    });
  }

  /** Show where the player is; with `follow` keep that in sight. */
  at(position, follow) {
    const share = position / this.recording.duration;
    this.head.style.left = `${100 * share}%`;
    const scroll = this.sheet.parentElement;
    const x = share * this.sheet.offsetWidth;
    if (follow && (x < scroll.scrollLeft || x > scroll.scrollLeft + 0.95 * scroll.clientWidth)) {
      scroll.scrollLeft = x - 0.1 * scroll.clientWidth;
    }
  }

  /** Show what is repeated; nothing for all. */
  mark(region) {
    this.region.hidden = !region;
    if (!region) return;
    const percent = region.map((s) => (100 * s) / this.recording.duration);
    this.region.style.left = `${percent[0]}%`;
    this.region.style.width = `${percent[1] - percent[0]}%`;
  }

  /** Zoom in or out by steps; returns the factor. */
  magnify(steps, position) {
    const place = Math.min(ZOOMS.length - 1, Math.max(0, ZOOMS.indexOf(this.zoom) + steps));
    this.zoom = ZOOMS[place];
    this.sheet.style.width = `${100 * this.zoom}%`;
    const scroll = this.sheet.parentElement;
    scroll.scrollLeft = (position / this.recording.duration) * this.sheet.offsetWidth - scroll.clientWidth / 2;
    this.draw();
    return this.zoom;
  }

  #secondsAt(event) {
    const { left, width } = this.lanes.getBoundingClientRect();
    return this.recording.duration * Math.min(1, Math.max(0, (event.clientX - left) / width));
  }

  /** A click picks a version and goes there; drawing over a stretch repeats it. */
  #listen() {
    let from = null;
    this.lanes.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      from = { x: event.clientX, s: this.#secondsAt(event), lane: event.target.closest(".lane") };
      this.lanes.setPointerCapture(event.pointerId);
    });
    this.lanes.addEventListener("pointermove", (event) => {
      if (!from || Math.abs(event.clientX - from.x) < DRAG_PX) return;
      this.mark([from.s, this.#secondsAt(event)].sort((a, b) => a - b));
    });
    this.lanes.addEventListener("pointerup", (event) => {
      if (!from) return;
      const { x, s, lane } = from;
      from = null;
      if (Math.abs(event.clientX - x) >= DRAG_PX) {
        this.told.mark([s, this.#secondsAt(event)].sort((a, b) => a - b));
        return;
      }
      if (lane) this.told.pick(Number(lane.dataset.place));
      this.told.seek(s);
    });
    this.lanes.addEventListener("click", (event) => {
      if (event.pointerType !== "touch") return;
      const lane = event.target.closest(".lane");
      if (lane) this.told.pick(Number(lane.dataset.place));
      this.told.seek(this.#secondsAt(event));
    });
  }
}

/** Return the word that decides a version's colour. */
export function kindOf(version) {
  return version.kind.split(":").at(-1);
}
