// A slider for every stem: what one hears as "mix", and what a remix is written with.

import { h } from "../../report/page/dom.js";

const LEAST_DB = -40; // and below it nothing
const MOST_DB = 12;

/** The sliders of a result. */
export class Mixer {
  /**
   * @param {string[]} stems
   * @param {function(): void} onchange
   * @param {function(): void} onexport
   */
  constructor(stems, onchange, onexport) {
    this.sliders = stems.map((stem) => this.#slider(stem, onchange));
    const reset = h("button", { type: "button", onclick: () => {
      for (const { input, show } of this.sliders) { input.value = 0; show(); }
      onchange();
    } }, "All at 0 dB");
    this.element = h("section", { class: "card mixer", "aria-label": "Mixer" }, h("h3", {}, "Mixer"),
      h("div", { class: "sliders" }, this.sliders.map(({ row }) => row)),
      h("div", { class: "acts" }, reset, h("button", { type: "button", id: "export", onclick: onexport }, "Write the remix")),
      h("p", { class: "quiet" }, "A remix is separated anew with these gains, as ", h("code", {}, "unmask separate --remix"), " does; it takes as long."));
  }

  #slider(stem, onchange) {
    const value = h("output", {});
    const input = h("input", {
      type: "range", min: LEAST_DB, max: MOST_DB, step: 0.5, value: 0, "aria-label": `Gain of ${stem}`, "data-stem": stem,
      oninput: () => { show(); onchange(); },
    });
    const show = () => {
      const db = Number(input.value);
      const words = db <= LEAST_DB ? "off" : `${db > 0 ? "+" : ""}${db.toFixed(1).replace("-", "−")} dB`;
      value.value = words;
      input.setAttribute("aria-valuetext", words);
    };
    show();
    return { stem, input, show, row: h("div", { class: "slider" }, h("span", { "aria-hidden": "true" }, stem), input, value) };
  }

  /** Gains by stem in dB; null is nothing of it. */
  get gains() {
    return Object.fromEntries(this.sliders.map(({ stem, input }) => {
      const db = Number(input.value);
      return [stem, db <= LEAST_DB ? null : db];
    }));
  }
}

/** The factor of a gain. */
export const factor = (db) => (db === null ? 0 : 10 ** (db / 20));
