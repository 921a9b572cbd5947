// The steps before the test: volume, headphones, hearing.

import { bytes, get } from "./api.js";
import { choice, h, show } from "./dom.js";
import { Player } from "./player.js";
import { decode, level, output, play, unlock } from "./sound.js";
import { FREQUENCIES, KINDS, headphoneTrial, shuffled, tonesToCount } from "./tones.js";

const RATE = 48000;
const TRIALS = 6;
const PASS = 5;

const button = (text, onclick, options = {}) => h("button", { onclick, ...options }, text);
const primary = (text, onclick, disabled = false) =>
  h("button", { class: "primary", id: "next", onclick, disabled }, text);

/** Let the listener set the volume while a clip of the test plays. */
export async function volume() {
  show(h("h1", {}, "Set the volume"), h("p", { class: "quiet", role: "status" }, "Loading …"));
  const page = await get("api/pages/0");
  const context = await unlock();
  const file = await bytes(`api/pages/0/clips/${page.clips[0].name}`);
  const player = new Player(context, [await decode(file)], output());
  return new Promise((resolve) => {
    const bar = h("progress", { class: "meter", max: 1, value: 0, "aria-label": "Level" });
    const timer = setInterval(() => {
      bar.value = Math.max(0, 1 + Math.log10(Math.max(1e-6, level())) / 3);
    }, 60);
    const next = primary("The volume is good", () => {
      clearInterval(timer);
      player.close();
      resolve({ step: "volume" });
    }, true);
    const toggle = button("Play", async () => {
      await unlock();
      if (player.playing) player.stop();
      else player.start();
      toggle.textContent = player.playing ? "Pause" : "Play";
      next.disabled = false;
    }, { id: "play" });
    show(h("h1", {}, "Set the volume"),
      h("p", {}, "Put on your headphones, and play the clip. Set the volume of your device so that "
        + "it is pleasant and clear. Please do not change it afterwards."),
      h("section", { class: "card row" }, toggle, bar),
      h("div", { class: "footer" }, next));
  });
}

/** Six trials that are easy with headphones and hard without; twice if the first time fails. */
export async function headphones() {
  let correct = await sixTrials("Headphones", [
    h("p", {}, "A check that both sides of your headphones play. You hear three tones in a row, "
      + "six times. Which of the three is the quietest?")]);
  if (correct < PASS) {
    correct = await sixTrials("Headphones, once more", [
      h("p", {}, "That did not fit headphones. Please check that you wear them, that both sides "
        + "play, and that sound is not set to mono. Then try once more.")]);
  }
  return { step: "headphones", correct };
}

async function sixTrials(heading, intro) {
  let correct = 0;
  for (let k = 0; k < TRIALS; k++) {
    const order = shuffled(KINDS);
    const chosen = await oneTrial(`${heading}: ${k + 1} of ${TRIALS}`, k === 0 ? intro : [], order);
    correct += order[chosen] === "quiet";
  }
  return correct;
}

function oneTrial(heading, intro, order) {
  return new Promise((resolve) => {
    const answers = [0, 1, 2].map((k) => button(["First", "Second", "Third"][k], () => resolve(k),
      { class: "clip", disabled: true, "data-answer": k }));
    const start = button("Play the three tones", async () => {
      start.disabled = true;
      await unlock();
      await play(headphoneTrial(order, RATE), RATE);
      start.disabled = false;
      start.textContent = "Play again";
      for (const one of answers) one.disabled = false;
    }, { id: "play", "data-order": order.join(" ") });
    show(h("h1", {}, heading), ...intro, h("section", { class: "card" }, start,
      h("h2", {}, "Which one was the quietest?"), h("div", { class: "clips three" }, ...answers)));
  });
}

/** What the listener says of their hearing, and how many of some soft tones they count. */
export function hearing() {
  const tones = shuffled(FREQUENCIES).slice(0, 3 + Math.floor(Math.random() * 4));
  const said = { step: "hearing", tones_played: tones.length };
  return new Promise((resolve) => {
    const next = primary("Go on", () => resolve(said), true);
    const update = () => { next.disabled = !("hearing" in said && "tones_heard" in said); };
    const count = h("input", {
      type: "number", id: "count", min: 0, max: 20, inputmode: "numeric", disabled: true,
      oninput: () => {
        const value = count.valueAsNumber;
        delete said.tones_heard;
        if (Number.isInteger(value) && value >= 0 && value <= 20) said.tones_heard = value;
        update();
      },
    });
    const start = button("Play the tones", async () => {
      start.disabled = true;
      await unlock();
      await play(tonesToCount(tones, RATE), RATE);
      start.disabled = count.disabled = false;
      start.textContent = "Play again";
    }, { id: "play" });
    const own = choice("hearing", "As far as you know, is your hearing normal?",
      [["normal", "Yes"], ["impaired", "No"], ["unsaid", "I prefer not to say"]],
      (value) => { said.hearing = value; update(); });
    show(h("h1", {}, "Your hearing"), h("section", { class: "card" }, own),
      h("section", { class: "card" }, h("h2", {}, "Some soft tones follow. Count them."), start,
        h("label", { class: "count" }, "How many did you hear? ", count)),
      h("div", { class: "footer" }, next));
  });
}
