// Elements from names, attributes and children; text is always text.

/** Make an element: h("button", {class: "big", onclick: go}, "Go"). */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Paragraphs of a text in which empty lines part them. */
export function paragraphs(text) {
  return text.split(/\n\s*\n/).map((part) => h("p", {}, part.trim()));
}

/** Show a screen: its heading gets the focus, so that it is read out and keys begin at the top. */
export function show(...children) {
  const main = document.getElementById("main");
  main.replaceChildren(...children.filter((child) => child !== null));
  const heading = main.querySelector("h1");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
  window.scrollTo(0, 0);
}

/** Say something above the page, or nothing. */
export function banner(text = "") {
  const line = document.getElementById("banner");
  line.textContent = text;
  line.hidden = !text;
}

/** Show how far the listener is. */
export function progress(done, total, text) {
  const box = document.getElementById("progress");
  box.hidden = !total;
  if (!total) return;
  box.querySelector("progress").value = done / total;
  box.querySelector("span").textContent = text;
}

/** A group of radio buttons in a row; calls `onchange` with the value that is chosen. */
export function choice(name, legend, options, onchange) {
  const buttons = options.map(([value, label]) => {
    const input = h("input", { type: "radio", name, value, onchange: () => onchange(value) });
    return h("label", { class: "option" }, input, h("span", {}, label));
  });
  return h("fieldset", { class: "choice" }, h("legend", {}, legend),
    h("div", { class: "options" }, ...buttons));
}
