// The page's elements: found by their id, or made. Text goes in as text, never as HTML.

export const find = (id) => document.getElementById(id);

/** Make an element. Attributes whose name starts with "on" are listeners; false and null are left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** A label as it stands alone. */
export const capital = (label) => label[0].toUpperCase() + label.slice(1);

/** Text that is read out when it changes, and is not written again when it has not. */
export function showText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Link to a file of the session, if there is one. */
export function showDownload(link, file) {
  link.hidden = !file;
  link.textContent = file ? `Download ${file.id}` : "";
  if (file) link.href = file.download;
}

/** A list's lines, one `li` each. */
export const showLines = (list, lines) => list.replaceChildren(...lines.map((line) => make("li", {}, line)));

/** A picture with its label, to be pressed. */
export function pictureButton({ url, label, pressed = null, press }) {
  return make(
    "button",
    { type: "button", class: "tile", title: label, "aria-pressed": pressed === null ? null : String(pressed), onclick: press },
    make("img", { src: url, alt: "", loading: "lazy" }),
    make("span", {}, label),
  );
}

/** A picture with its label, one of a group of which one is chosen. */
export function pictureChoice({ group, value, url, label, choose }) {
  const picture = url ? make("img", { src: url, alt: "", loading: "lazy" }) : make("span", { class: "blank" }, "as in the photo");
  const input = make("input", { type: "radio", name: group, value, onchange: choose });
  return make("label", { class: "tile", title: label }, input, picture, make("span", {}, label));
}

/** Whether people asked their machine for less motion. */
export const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
