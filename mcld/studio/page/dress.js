// What they wear: parts from other photos, and other colours.

import { capital, find, make } from "./element.js";
import { pickPhoto } from "./picker.js";
import { choices, choose, on, session } from "./session.js";

const FIRST_COLOUR = "#803020";
const rows = new Map(); // part -> the elements of its row that change

/** Name and label of what can come from another photo. A face has no colour of its own to change. */
const listParts = () => [
  { id: "face", label: "Face" },
  ...session.studio.parts.map(({ id, label }) => ({ id, label: capital(label) })),
];

export function setUpDress() {
  find("parts").append(...listParts().map(makeRow));
  on("choices", (changed) => {
    if (changed.includes("edits")) showEdits();
  });
  showEdits();
}

function makeRow({ id, label }) {
  const donor = make("button", { type: "button", class: "donor", onclick: () => takeFrom(id, label) });
  const remove = make("button", {
    type: "button", class: "remove", "aria-label": `${label}: as it is`, onclick: () => change({ [id]: undefined }),
  }, "×");
  const row = { label, donor, remove };
  const colours = make("td", {});
  if (id !== "face") {
    row.isOn = make("input", { type: "checkbox", "aria-label": `Another colour: ${label}` });
    row.colour = make("input", { type: "color", value: FIRST_COLOUR, "aria-label": `Colour: ${label}` });
    row.isOn.addEventListener("change", () => recolour(id, row.isOn.checked && row.colour.value));
    row.colour.addEventListener("input", () => recolour(id, row.colour.value));
    colours.append(make("span", { class: "colour" }, row.isOn, row.colour));
  }
  rows.set(id, row);
  return make("tr", {}, make("th", { scope: "row" }, label), make("td", {}, donor, remove), colours);
}

async function takeFrom(part, label) {
  const file = await pickPhoto(`${label} from`);
  if (file) change({ [part]: file.id });
}

function recolour(part, colour) {
  const { [part]: _, ...others } = choices.edits.recolor ?? {};
  const recolor = colour ? { ...others, [part]: colour } : others;
  change({ recolor: Object.keys(recolor).length ? recolor : undefined });
}

/** Change edits; those that are undefined are taken back. */
export function change(edits) {
  const changed = Object.entries({ ...choices.edits, ...edits }).filter(([, value]) => value !== undefined);
  choose({ edits: Object.fromEntries(changed) });
}

function showEdits() {
  const { edits } = choices;
  for (const [part, { label, donor, remove, isOn, colour }] of rows) {
    const file = session.files.get(edits[part]);
    donor.replaceChildren(...(file ? [make("img", { src: file.url, alt: "" }), file.id] : ["Choose a photo"]));
    donor.setAttribute("aria-label", file ? `${label} from ${file.id}` : `${label}: choose a photo`);
    donor.classList.toggle("chosen", Boolean(file));
    remove.hidden = !file;
    if (!isOn) continue;
    const wanted = edits.recolor?.[part];
    isOn.checked = Boolean(wanted);
    if (wanted) colour.value = wanted;
  }
  const { recolor = {}, ...others } = edits;
  const count = Object.keys(recolor).length + Object.keys(others).length;
  find("dress-now").textContent = count ? `${count} ${count === 1 ? "change" : "changes"}` : "As they are";
}
