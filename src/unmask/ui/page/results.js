// The recordings that were given: what waits, how far it is, what can be done with it.

import { clock, h } from "../../report/page/dom.js";

const ENDED = new Set(["done", "failed", "stopped"]);

/** Seconds as people say them. */
const length = (seconds) => clock(seconds).replace(/\.\d$/, "");

/** A list of rows that change in place, so that what has the focus keeps it. */
export class Results {
  /** @param {{open: Function, stop: Function, remove: Function}} told  Of what is wanted, with the job. */
  constructor(told) {
    this.told = told;
    this.rows = new Map();
    this.list = h("ul", { class: "jobs" });
    this.element = h("div", { hidden: true }, h("h2", {}, "Recordings"), this.list);
  }

  #row(key) {
    if (this.rows.has(key)) return this.rows.get(key);
    const part = (name, attributes = {}) => h(name, attributes);
    const row = {
      name: part("b"), about: part("span", { class: "quiet" }), text: part("span", { class: "state" }),
      bar: part("progress", { max: 1 }), error: part("p", { class: "error" }),
      open: h("button", { type: "button", onclick: () => row.act.open() }, "Listen"),
      stop: h("button", { type: "button", onclick: () => row.act.stop() }, "Stop"),
      remove: h("button", { type: "button", onclick: () => row.act.remove() }, "Remove"),
    };
    row.element = h("li", {}, h("div", { class: "what" }, row.name, row.about), row.bar, row.text,
      h("div", { class: "acts" }, row.open, row.stop, row.remove), row.error);
    this.rows.set(key, row);
    this.list.append(row.element);
    this.element.hidden = false;
    return row;
  }

  /** Show a row as it is now. */
  show(key, { name, about, state, share, text, error, act }) {
    const row = this.#row(key);
    row.act = act;
    const put = (element, words) => { if (element.textContent !== words) element.textContent = words; };
    put(row.name, name);
    put(row.about, about);
    put(row.text, text);
    put(row.error, error ?? "");
    row.error.hidden = !error;
    row.bar.hidden = ENDED.has(state);
    row.bar.value = share;
    row.bar.setAttribute("aria-label", `${name}, ${about}`);
    row.element.dataset.state = state;
    const shown = { open: state === "done", stop: !ENDED.has(state), remove: ENDED.has(state) };
    for (const [action, on] of Object.entries(shown)) {
      const button = row[action];
      button.setAttribute("aria-label", `${button.textContent}: ${name}, ${about}`);
      if (button.hidden === !on) continue;
      const had = document.activeElement === button;
      button.hidden = !on;
      if (had && !on) (row[state === "done" ? "open" : "remove"]).focus();
    }
  }

  /** Show a job of the program. */
  job(job, title) {
    const act = { open: () => this.told.open(job), stop: () => this.told.stop(job), remove: () => this.told.remove(job) };
    const clipped = job.files.filter((file) => file.clipped).map((file) => `${file.stem}: ${file.clipped} samples beyond full scale were clipped`);
    const remarks = [job.remarks, ...clipped].filter(Boolean).join("; ");
    this.show(`job-${job.id}`, {
      ...job, act, error: job.error || remarks,
      about: `${job.remix ? "remix, " : ""}${title}, ${length(job.seconds)}`, text: stateOf(job),
    });
  }

  drop(key) {
    this.rows.get(key)?.element.remove();
    this.rows.delete(key);
    this.element.hidden = this.rows.size === 0;
  }

  mark(key) {
    for (const [own, { element }] of this.rows) element.classList.toggle("opened", own === key);
  }
}

/** How a job is, in words. */
export function stateOf({ state, share, took_s: took }) {
  return {
    waiting: "waits for the one before",
    running: `${Math.floor(100 * share)} %`,
    done: `done in ${took < 10 ? (took ?? 0).toFixed(1) : Math.round(took)} s`,
    failed: "failed",
    stopped: "stopped",
  }[state];
}
