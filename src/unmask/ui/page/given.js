// What is given and how it is to be separated: files, model, format, settings of masks.

import { h, tick } from "../../report/page/dom.js";

const FORMATS = { "": "As the recording (WAV for MP3 and video)", wav: "WAV", flac: "FLAC", ogg: "Ogg", mp3: "MP3" };
const LABELS = { sensitivity: "Sensitivity", limit_db: "Limit, dB", linked: "One mask for all channels", extend: "Mask what is above the model's band" };

/** The card at the top. */
export class Given {
  /**
   * @param {object} about  What there is to choose.
   * @param {function(File[]): void} ongive
   */
  constructor(about, ongive) {
    Object.assign(this, { about, ongive });
    const input = h("input", {
      type: "file", multiple: true, id: "files", accept: `audio/*,video/*,${about.suffixes.join()}`,
      "aria-describedby": "limits",
      onchange: () => { this.#give(input.files); input.value = ""; },
    });
    const most = about.most_bytes / 1e9;
    this.drop = h("label", { class: "drop" }, input, h("b", {}, "Choose recordings"), h("span", {}, "or drop them anywhere on this page"),
      h("span", { class: "quiet", id: "limits" }, `WAV, FLAC, MP3, Ogg and more, up to ${most} GB each; songs of minutes, or hours`));
    this.element = h("section", { class: "card", "aria-label": "What to separate" }, this.drop, this.#how());
    this.#listen();
  }

  #how() {
    const usable = this.about.models.filter(({ error }) => !error);
    this.model = h("select", { id: "model", onchange: () => this.#showModel() },
      usable.map(({ name, title, stems }) => h("option", { value: name }, `${title}: ${stems.join(", ")}`)));
    this.format = h("select", { id: "format" }, ["", ...this.about.formats].map((name) => h("option", { value: name }, FORMATS[name] ?? name)));
    this.rest = tick("Also write what the stems leave", null, false, () => {});
    this.licence = h("p", { class: "licence" });
    this.when = h("p", { class: "quiet when" });
    const broken = this.about.models.filter(({ error }) => error).map(({ error }) => h("p", { role: "alert" }, error));
    const how = h("div", { class: "how" },
      h("div", {}, h("label", { for: "model" }, "Model"), this.model),
      h("div", {}, h("label", { for: "format" }, "Stems as"), this.format));
    this.#showModel();
    return [how, this.when, this.licence, broken, this.#masks()];
  }

  #masks() {
    this.settings = this.about.settings.map((said) => {
      const { name, kind, default: value, help } = said;
      const label = LABELS[name] ?? name;
      if (kind === "tick") {
        const box = tick(label, null, value, () => {});
        return { ...said, element: h("div", {}, box.label, h("p", { class: "quiet" }, help)), read: () => box.input.checked };
      }
      const input = h("input", { type: "number", step: "any", id: `set-${name}`, value: value ?? "", "aria-describedby": `help-${name}` });
      return {
        ...said, read: () => (input.value === "" ? null : Number(input.value)),
        element: h("div", {}, h("label", { for: input.id }, label), input, h("p", { class: "quiet", id: `help-${name}` }, help)),
      };
    });
    return h("details", { class: "masks" }, h("summary", {}, "How masks are used"),
      h("div", { class: "fields" }, this.settings.map(({ element }) => element), h("div", {}, this.rest.label)));
  }

  #showModel() {
    const { about, licence, is_not_commercial: barred, has_rest: hasRest, residual } = this.chosen ?? {};
    this.when.textContent = about ? `Take it when ${about.replaceAll("`", "")}.` : "";
    this.licence.textContent = licence ? `Licence of the model: ${licence}${barred ? " – not for commercial use" : ""}` : "Licence of the model: not told";
    this.licence.classList.toggle("barred", Boolean(barred));
    this.rest.label.hidden = !hasRest;
    this.rest.label.querySelector("span").textContent = `Also write what the stems leave (${residual})`;
  }

  get chosen() { return this.about.models.find(({ name }) => name === this.model.value); }

  /** What is asked of a job, but for its recording. */
  get said() {
    const settings = Object.fromEntries(this.settings.filter(({ read, default: value }) => read() !== value).map(({ name, read }) => [name, read()]));
    return { model: this.model.value, format: this.format.value || null, rest: Boolean(this.chosen?.has_rest && this.rest.input.checked), settings };
  }

  #give(files) {
    if (files.length) this.ongive([...files]);
  }

  /** Files may be dropped anywhere: a browser would leave the page to open them. */
  #listen() {
    let depth = 0;
    const show = () => this.drop.classList.toggle("over", depth > 0);
    const isFiles = (event) => event.dataTransfer?.types.includes("Files");
    window.addEventListener("dragenter", (event) => { if (isFiles(event)) { depth++; show(); } });
    window.addEventListener("dragleave", (event) => { if (isFiles(event)) { depth = Math.max(0, depth - 1); show(); } });
    window.addEventListener("dragover", (event) => { if (isFiles(event)) event.preventDefault(); });
    window.addEventListener("drop", (event) => {
      if (!isFiles(event)) return;
      event.preventDefault();
      depth = 0;
      show();
      this.#give(event.dataTransfer.files);
    });
  }
}
