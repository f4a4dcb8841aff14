// Painting on the texture map, the body's surface unrolled.

import { change } from "./dress.js";
import { find } from "./element.js";
import { choices, on, removeFile, session, upload } from "./session.js";

const SIZE = 512;
const WAIT_MS = 500; // after the last stroke, before it is tried on the body
const MOST_STROKES = 30; // that can be taken back
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
// A black texel is one that the photo does not show; black clothes are painted a shade lighter.
const BLACK = { "#000000": "#010101" };

const canvas = find("texture");
const pen = canvas.getContext("2d", { willReadFrequently: true });

let owner = null; // the person whose texture map lies on the canvas
let original = null; // the picture of that map
let loads = 0; // of which the last one holds
let strokes = []; // the canvas before each stroke
let last = null; // where the brush was, while it is down
let at = { x: SIZE / 2, y: SIZE / 2 }; // where the keyboard holds it
let used = null; // id of the file that the canvas is, once it was used
let isUnsaved = false;
let waiting = null;
let saving = Promise.resolve();

export function setUpPainting() {
  find("guide").src = session.studio.guide_url;
  find("guide").hidden = false;
  find("open-painting").addEventListener("click", () => find("painting").showModal());
  find("painting-done").addEventListener("click", () => find("painting").close());
  find("painting").addEventListener("close", () => savePainting().catch(ignoreTold));
  find("show-guide").addEventListener("change", (event) => (find("guide").hidden = !event.target.checked));
  find("brush-size").addEventListener("input", (event) => (find("brush-size-value").textContent = event.target.value));
  find("undo").addEventListener("click", undo);
  find("start-over").addEventListener("click", startOver);
  find("use-painting").addEventListener("change", (event) => change({ texture: event.target.checked ? used : undefined }));
  canvas.addEventListener("pointerdown", begin);
  canvas.addEventListener("pointermove", go);
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, end);
  canvas.addEventListener("pointerleave", () => (find("brush-ring").hidden = true));
  canvas.addEventListener("keydown", paintByKeys);
  canvas.addEventListener("blur", () => (find("brush-ring").hidden = true));
  on("person", load);
  on("choices", (changed) => {
    if (!changed.includes("edits")) return;
    const { texture } = choices.edits;
    if (texture && texture !== used) load();
    find("use-painting").checked = Boolean(texture);
  });
}

/** Lay the person's texture map, and what was painted on it, on the canvas. Until it lies there nobody
 *  paints, and what was not saved of another's is given up. */
async function load() {
  const { person, api } = session;
  const painted = session.files.get(choices.edits.texture);
  const number = (loads += 1);
  clearTimeout(waiting);
  isUnsaved = false;
  if (session.files.has(used) && used !== painted?.id) removeFile(used); // nobody comes back to it
  last = owner = original = null;
  used = painted?.id ?? null;
  strokes = [];
  pen.clearRect(0, 0, SIZE, SIZE);
  showState();
  if (!person) return;
  const [own, top] = await Promise.all([person.texture_url, painted?.download].map((url) => url && api.readPicture(url)));
  if (number !== loads) return;
  owner = person;
  original = own;
  lay(top ?? own);
  showState();
}

function lay(picture) {
  pen.clearRect(0, 0, SIZE, SIZE);
  pen.drawImage(picture, 0, 0, SIZE, SIZE);
}

const getTool = () => document.querySelector("input[name=tool]:checked").value;

function locate(event) {
  const box = canvas.getBoundingClientRect();
  return { x: ((event.clientX - box.left) / box.width) * SIZE, y: ((event.clientY - box.top) / box.height) * SIZE };
}

function begin(event) {
  if (!original || event.button > 0) return;
  canvas.setPointerCapture(event.pointerId);
  const place = locate(event);
  if (getTool() === "eyedropper") return takeColour(place);
  keepStroke();
  last = place;
  stroke(place, place);
}

function go(event) {
  const place = locate(event);
  showRing(place);
  if (!last) return;
  stroke(last, place);
  last = place;
}

function end() {
  if (!last) return;
  last = null;
  changed();
}

function paintByKeys(event) {
  const way = ARROWS[event.key];
  if (way) {
    const step = event.shiftKey ? 16 : 4;
    at = { x: clamp(at.x + way[0] * step), y: clamp(at.y + way[1] * step) };
  } else if (event.key === " " && original) {
    if (getTool() === "eyedropper") takeColour(at);
    else {
      keepStroke();
      stroke(at, at);
      changed();
    }
  } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
    undo();
  } else {
    return;
  }
  event.preventDefault();
  showRing(at);
}

const clamp = (place) => Math.min(SIZE - 1, Math.max(0, place));

/** Show how far the brush reaches. */
function showRing({ x, y }) {
  const scale = canvas.clientWidth / SIZE;
  const size = getTool() === "eyedropper" ? 8 : Number(find("brush-size").value) * scale;
  const { style } = find("brush-ring");
  style.width = style.height = `${size}px`;
  style.left = `${x * scale - size / 2}px`;
  style.top = `${y * scale - size / 2}px`;
  find("brush-ring").hidden = false;
}

function takeColour({ x, y }) {
  const [red, green, blue] = pen.getImageData(Math.floor(x), Math.floor(y), 1, 1).data;
  find("brush-colour").value = `#${[red, green, blue].map((one) => one.toString(16).padStart(2, "0")).join("")}`;
  document.querySelector("input[name=tool][value=brush]").checked = true;
}

/** Press the brush down all along a line. Its edge is hard: half transparent rims would darken the map. */
function stroke(from, to) {
  const radius = Number(find("brush-size").value) / 2;
  const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / Math.max(1, radius / 3)));
  const colour = find("brush-colour").value;
  pen.fillStyle = BLACK[colour] ?? colour;
  for (let step = 0; step <= steps; step += 1) {
    const share = step / steps;
    press(from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share, radius);
  }
}

function press(x, y, radius) {
  const isErased = getTool() === "eraser";
  for (let row = Math.floor(y - radius); row <= y + radius; row += 1) {
    const reach = Math.sqrt(Math.max(0, radius ** 2 - (row + 0.5 - y) ** 2));
    const left = Math.max(0, Math.round(x - reach));
    const width = Math.min(SIZE, Math.round(x + reach)) - left;
    if (width <= 0 || row < 0 || row >= SIZE) continue;
    if (isErased) {
      pen.clearRect(left, row, width, 1);
      pen.drawImage(original, left, row, width, 1, left, row, width, 1);
    } else {
      pen.fillRect(left, row, width, 1);
    }
  }
}

function keepStroke() {
  strokes.push(pen.getImageData(0, 0, SIZE, SIZE));
  if (strokes.length > MOST_STROKES) strokes.shift();
}

function undo() {
  if (!owner || !strokes.length) return;
  pen.putImageData(strokes.pop(), 0, 0);
  changed();
}

function startOver() {
  keepStroke();
  lay(original);
  changed();
}

function changed() {
  isUnsaved = true;
  showState();
  clearTimeout(waiting);
  waiting = setTimeout(() => savePainting().catch(ignoreTold), WAIT_MS);
}

/** `save` has told it where one paints. */
function ignoreTold() {}

/** Make what is painted a file of the session, and use it. Rejects where that cannot be done. */
export function savePainting() {
  clearTimeout(waiting);
  if (isUnsaved) saving = saving.catch(ignoreTold).then(save);
  return saving;
}

async function save() {
  if (!isUnsaved) return;
  isUnsaved = false;
  find("painting-error").textContent = "";
  const number = loads;
  try {
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const file = await upload(new File([blob], "painted.png", { type: "image/png" }), "texture");
    if (number !== loads) {
      removeFile(file.id); // another's map lies on the canvas by now
      return;
    }
    const earlier = used;
    used = file.id;
    change({ texture: used });
    if (earlier) removeFile(earlier); // which stays if a job has it
  } catch (error) {
    if (number !== loads) return; // it was another's
    isUnsaved = true;
    find("painting-error").textContent = error.message;
    throw error;
  } finally {
    showState();
  }
}

function showState() {
  const file = session.files.get(used);
  find("open-painting").disabled = !session.person;
  find("undo").disabled = !strokes.length;
  find("start-over").disabled = !owner || (!strokes.length && !used);
  if (file && !isUnsaved) find("download-painting").href = file.download;
  else find("download-painting").removeAttribute("href"); // until it is what one sees
  find("use-painting-label").hidden = !used;
  find("use-painting").checked = Boolean(choices.edits.texture);
}
