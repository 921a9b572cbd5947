// One page of the test: clips to hear, questions to answer, and no way on before both are done.

import { answer, bytes, get, random } from "./api.js";
import { choice, h, show } from "./dom.js";
import { Player } from "./player.js";
import { decode, output, unlock } from "./sound.js";

const SCALE = ["Bad", "Poor", "Fair", "Good", "Excellent"];

/** Fetch and decode a page; it counts as there when every clip can be played. */
async function load(position) {
  const page = await get(`api/pages/${position}`);
  const context = await unlock();
  const files = page.clips.map(({ name }) => bytes(`api/pages/${position}/clips/${name}`));
  const buffers = await Promise.all(files.map(async (file) => decode(await file)));
  return { page, player: new Player(context, buffers, output()) };
}

/**
 * Show a page and wait until the listener has answered it.
 *
 * @param {object} options
 *   test: id; position: 0 is training; heading, intro: elements; button: text of the last one.
 * @returns {Promise<string|true>}  What the server said if the answer was not taken.
 */
export async function trial({ test, position, heading, intro = [], button }) {
  show(h("h1", {}, heading), h("p", { class: "quiet", role: "status" }, "Loading the clips …"));
  const { page, player } = await load(position);
  const view = new View(page, player);
  return new Promise((resolve, reject) => {
    view.onanswer = async (answers, seconds) => {
      view.close();
      if (position === 0) return resolve(true);
      try {
        resolve(await answer(test, position, { key: random(), answers, rt_s: seconds }));
      } catch (error) {
        reject(error);
      }
    };
    show(h("h1", {}, heading), ...intro, view.about(), ...view.elements(button));
    view.update();
  });
}

class View {
  constructor(page, player) {
    this.page = page;
    this.player = player;
    this.heard = page.clips.map(() => 0);
    this.answers = {};
    this.rated = page.clips.map(() => null);
    this.firstSound = null;
    this.done = false;
    this.last = null;
    this.wanted = null;
    this.onkey = (event) => this.key(event);
    document.addEventListener("keydown", this.onkey);
    this.timer = setInterval(() => this.tick(), 50);
    player.onended = () => this.update();
  }

  close() {
    this.done = true;
    clearInterval(this.timer);
    document.removeEventListener("keydown", this.onkey);
    this.player.close();
  }

  get isRating() {
    return this.page.kind === "mushra";
  }

  elements(button) {
    const rows = this.isRating ? this.ratingRows() : this.pairRows();
    this.hint = h("p", { class: "quiet hint", role: "status" });
    this.next = h("button", { class: "primary", id: "next", onclick: () => this.submit() }, button);
    return [
      h("section", { class: "card", "aria-label": "Clips" }, ...rows.clips, this.transport()),
      ...rows.questions,
      h("div", { class: "footer" }, this.hint, this.next),
      this.help(),
    ];
  }

  /** What the references are about; without references there is nothing to name. */
  about() {
    const { clips, stem } = this.page;
    return clips.every(({ rated }) => rated) ? null : h("p", { class: "quiet" }, `Target: ${stem}`);
  }

  clipButton(k) {
    const { label } = this.page.clips[k];
    const key = label.length === 1 ? label : label[0];
    return h("button", {
      class: "clip", "data-clip": label, "aria-pressed": "false", "aria-keyshortcuts": key,
      onclick: () => this.hear(k),
    }, h("span", { class: "name" }, label), h("span", { class: "tick", "aria-hidden": "true" }));
  }

  pairRows() {
    this.buttons = this.page.clips.map((_, k) => this.clipButton(k));
    const groups = [true, false].map((rated) => h("div", { class: rated ? "clips" : "clips small" },
      ...this.buttons.filter((_, k) => this.page.clips[k].rated === rated)));
    const questions = this.page.questions.map((question) => {
      const options = [["a", "A"], ...(question.none ? [["none", "No difference"]] : []), ["b", "B"]];
      return choice(question.id, question.text, options, (value) => {
        this.answers[question.id] = value;
        this.update();
      });
    });
    this.inputs = questions.flatMap((set) => [...set.querySelectorAll("input")]);
    const box = h("section", { class: "card", "aria-label": "Questions" }, ...questions);
    return { clips: groups.filter((group) => group.children.length), questions: [box] };
  }

  ratingRows() {
    this.buttons = this.page.clips.map((_, k) => this.clipButton(k));
    this.sliders = this.page.clips.map(({ label, rated }, k) => rated && h("input", {
      type: "range", min: 0, max: 100, step: 1, value: 50, disabled: true,
      class: "unset", "aria-label": `Mark of clip ${label}, 0 bad to 100 excellent`,
      oninput: (event) => this.rate(k, Number(event.target.value)),
      onpointerup: (event) => this.rate(k, Number(event.target.value)),
    }));
    this.marks = this.page.clips.map(() => h("output", {}, "–"));
    const rows = this.page.clips.map(({ rated }, k) => rated && h("div", { class: "rating" },
      this.buttons[k], this.sliders[k], this.marks[k]));
    const references = this.buttons.filter((_, k) => !this.page.clips[k].rated);
    const scale = h("div", { class: "scale", "aria-hidden": "true" },
      ...SCALE.map((word) => h("span", {}, word)));
    this.inputs = [];
    const [question] = this.page.questions;
    return {
      clips: [h("div", { class: "clips small" }, ...references)],
      questions: [h("section", { class: "card", "aria-label": "Ratings" },
        h("h2", {}, question.text), scale, ...rows.filter(Boolean))],
    };
  }

  transport() {
    this.toggle = h("button", { class: "round", "aria-label": "Play", onclick: () => this.playPause() });
    this.seek = h("input", {
      type: "range", min: 0, max: this.player.duration, step: 0.01, value: 0, "aria-label": "Position",
      oninput: (event) => this.jump(Number(event.target.value)),
    });
    this.time = h("span", { class: "time" }, "");
    this.loop = h("input", {
      type: "checkbox", checked: true, onchange: (event) => this.player.setLoop(event.target.checked),
    });
    return h("div", { class: "transport" }, this.toggle, this.seek, this.time,
      h("label", { class: "loop" }, this.loop, " Loop"));
  }

  help() {
    const letters = this.page.clips.map(({ label }) => label[0]).join(" ");
    return h("p", { class: "quiet keys" }, "Keys: ", h("kbd", {}, letters), " hear a clip, ",
      h("kbd", {}, "Space"), " play or pause, ", h("kbd", {}, "O"), " loop.");
  }

  async hear(k) {
    await unlock();
    if (this.done) return;
    this.player.select(k);
    if (!this.player.playing) this.begin();
    this.update();
  }

  begin() {
    this.firstSound ??= performance.now();
    this.player.start();
    this.last = null;
  }

  async playPause() {
    await unlock();
    if (this.done) return;
    if (this.player.playing) this.player.stop();
    else this.begin();
    this.update();
  }

  jump(seconds) {
    if (this.player.playing) this.player.start(seconds);
    else this.player.offset = seconds;
  }

  rate(k, value) {
    if (this.player.active !== k || !this.heard[k]) return; // only what plays
    this.rated[k] = value;
    this.marks[k].textContent = value;
    this.sliders[k].classList.remove("unset");
    this.update();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const key = event.key.toUpperCase();
    const k = this.page.clips.findIndex(({ label }) => label[0] === key);
    const onControl = event.target.closest("button, input, label, summary");
    if (k >= 0) {
      if (event.repeat) return;
      // The mark of the next clip follows that of the last, whose slider is closed now.
      if (this.sliders?.includes(event.target)) this.wanted = this.sliders[k];
      this.hear(k);
    }
    else if (key === " " && !onControl) this.playPause();
    else if (key === "O") this.loop.click();
    else return;
    event.preventDefault();
  }

  /** Add up how long the clip that plays was heard. */
  tick() {
    const { player } = this;
    const now = player.context.currentTime;
    if (player.playing && this.last !== null && player.context.state === "running") {
      this.heard[player.active] += Math.max(0, now - this.last);
    }
    this.last = player.playing ? now : null;
    this.seek.value = player.position;
    this.update();
  }

  isHeard(k) {
    return this.heard[k] > 0 && this.heard[k] >= this.page.min_heard_s;
  }

  missing() {
    const unheard = this.page.clips.filter((_, k) => !this.isHeard(k)).map(({ label }) => label);
    if (unheard.length) return `Still to hear: ${unheard.join(", ")}`;
    if (this.isRating) {
      const open = this.page.clips.filter(({ rated }, k) => rated && this.rated[k] === null);
      return open.length ? `Still to mark: ${open.map(({ label }) => label).join(", ")}` : "";
    }
    const open = this.page.questions.filter(({ id }) => !(id in this.answers));
    return open.length ? "Still to answer: " + (open.length > 1 ? `${open.length} questions` : "1 question") : "";
  }

  update() {
    const { player } = this;
    const allHeard = this.page.clips.every((_, k) => this.isHeard(k));
    this.buttons.forEach((button, k) => {
      set(button, "aria-pressed", String(player.active === k && player.playing));
      button.classList.toggle("heard", this.isHeard(k));
      set(button, "aria-label", `Clip ${this.page.clips[k].label}${this.isHeard(k) ? ", heard" : ""}`);
    });
    this.inputs.forEach((input) => { input.disabled = !allHeard; });
    (this.sliders ?? []).forEach((slider, k) => {
      if (slider) slider.disabled = !(player.active === k && this.heard[k] > 0);
    });
    if (this.wanted && !this.wanted.disabled) {
      this.wanted.focus();
      this.wanted = null;
    }
    set(this.toggle, "aria-label", player.playing ? "Pause" : "Play");
    this.toggle.classList.toggle("playing", player.playing);
    const missing = this.missing();
    if (this.hint.textContent !== missing) this.hint.textContent = missing;
    this.next.disabled = Boolean(missing);
    this.time.textContent = `${player.position.toFixed(1)} s`;
  }

  submit() {
    if (this.done || this.missing()) return;
    const seconds = (performance.now() - this.firstSound) / 1000;
    const { questions, clips } = this.page;
    const marks = this.rated.filter((_, k) => clips[k].rated);
    const answers = this.isRating ? { [questions[0].id]: marks } : this.answers;
    this.next.disabled = true;
    this.onanswer(answers, seconds);
  }
}

function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}
