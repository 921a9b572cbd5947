// Elements from names, attributes and children; text is always text.

/** Make an element: h("button", {class: "big", onclick: go}, "Go"). */
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Make an element of a drawing. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A row of radio buttons; calls `onchange` with the number of the one that is chosen. */
export function choice(legend, options, chosen, onchange) {
  const name = `choice-${choice.count = (choice.count ?? 0) + 1}`;
  const inputs = options.map((_, k) => h("input", {
    type: "radio", name, value: k, checked: k === chosen, onchange: () => onchange(k),
  }));
  const labels = options.map(({ text, kind, key, about }, k) => h("label", {
    class: "option", "data-kind": kind, title: about,
  }, inputs[k], h("span", {}, text), key ? h("kbd", {}, key) : null));
  const set = h("fieldset", { class: "choice" }, h("legend", {}, legend), labels);
  return { set, choose: (k) => { inputs[k].checked = true; } };
}

/** A switch with a word beside it. */
export function tick(text, key, on, onchange) {
  const input = h("input", { type: "checkbox", checked: on, onchange: () => onchange(input.checked) });
  return { label: h("label", { class: "tick" }, input, h("span", {}, text), key ? h("kbd", {}, key) : null), input };
}

/** Say something to those who listen to the screen. */
export function speak(text) {
  document.getElementById("spoken").textContent = text;
}

/** Seconds as 1:02.3. */
export function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  const rest = (tenths % 600) / 10;
  return `${Math.floor(tenths / 600)}:${rest < 10 ? "0" : ""}${rest.toFixed(1)}`;
}

/** Decibels with two digits; what is not known is a dash. JSON has infinity as text. */
export function decibels(value, sign = false) {
  if (value === null || value === undefined) return "–";
  const number = Number(value);
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
  const text = Math.abs(number).toFixed(2);
  return (number < 0 ? "−" : sign ? "+" : "") + text;
}
