// The demonstrations of the first page: tracks on one clock, of which one is heard and seen.
// Without this file (a page opened from disk) each track keeps the player of the browser.

import { Player } from "./player.js";

const context = new AudioContext();
const demos = [...document.querySelectorAll(".demo")].map(prepare);

/** Give a demonstration its buttons; sounds are fetched when it is first played. */
function prepare(element) {
  const tracks = [...element.querySelectorAll("figure")];
  const play = button("Play", () => toggle(demo));
  const picks = tracks.map((track, k) => button(track.dataset.label, () => pick(demo, k)));
  const demo = { tracks, play, picks, active: 0, player: null, loading: null };
  const bar = document.createElement("div");
  bar.className = "demo-bar";
  bar.append(play, ...picks);
  element.prepend(bar);
  element.classList.add("live");
  for (const track of tracks) {
    const head = document.createElement("i");
    track.querySelector("audio").replaceWith(head);
  }
  show(demo);
  return demo;
}

function button(text, onclick) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.onclick = onclick;
  return made;
}

async function load(demo) {
  const sounds = demo.tracks.map(async (track) => {
    const response = await fetch(track.dataset.sound);
    return context.decodeAudioData(await response.arrayBuffer());
  });
  demo.player = new Player(context, await Promise.all(sounds));
  demo.player.active = demo.active;
}

async function toggle(demo) {
  await context.resume();
  if (!demo.player) {
    demo.play.disabled = true;
    demo.play.textContent = "…";
    await (demo.loading ??= load(demo));
    demo.play.disabled = false;
  }
  if (demo.player.playing) demo.player.stop();
  else {
    for (const other of demos) other.player?.stop();
    demo.player.start();
    requestAnimationFrame(() => follow(demo));
  }
  demos.forEach(show);
}

function pick(demo, k) {
  demo.active = k;
  demo.player?.select(k);
  show(demo);
}

function show(demo) {
  demo.play.textContent = demo.player?.playing ? "Pause" : "Play";
  demo.picks.forEach((made, k) => made.setAttribute("aria-pressed", k === demo.active));
  demo.tracks.forEach((track, k) => { track.hidden = k !== demo.active; });
}

/** Move the line over the picture along with the sound. */
function follow(demo) {
  const share = demo.player.position / demo.player.duration;
  for (const track of demo.tracks) track.style.setProperty("--at", share);
  if (demo.player.playing) requestAnimationFrame(() => follow(demo));
}
