// The pose made by hand: a skeleton of handles over a figure that the studio draws.
//
// One request is under way at a time. What is moved meanwhile waits in a queue, each change for its turn, and
// of one that goes on, like a drag, only the latest place: so the figure follows as fast as it can be drawn,
// and no faster. A place in the picture means what it meant to the eye: a joint is not dragged while another
// camera is on its way.

import { capital, find, showDownload } from "./element.js";
import { choices, choose, on, savePose as keepPose, session } from "./session.js";

const WIDTH = 352;
const HEIGHT = 512;
const STEP = 0.01; // of the picture, for an arrow key; with Shift five times that
const RIM = 0.02; // where a joint is about to leave the picture
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let figure = null; // the last answer
let chosen = null; // name of the joint whose depth the slider moves
let dragged = null; // {handle, x, y}, while a pointer holds it
let queue = []; // changes, of which the first may be under way
let asking = null; // settles when the queue is empty, while it is not
let isFramed = false; // whether the last answer chose its own camera
let saved = null; // the file of the figure as it is, until it is moved
let isMoved = false; // since it was used as the pose

export function setUpFigure() {
  drawSkeleton();
  find("figure-start").addEventListener("change", (event) => begin(event.target.value));
  find("depth").addEventListener("input", (event) => {
    const [handle, depth] = [chosen, Number(event.target.value)];
    move({
      name: `depth of ${handle}`,
      make: ({ joints: { [handle]: [x, y] } }) => ({ drag: { handle, x, y, depth } }),
    });
  });
  for (const name of ["turn", "pitch"]) {
    find(name).addEventListener("input", (event) => {
      find(`${name}-value`).textContent = `${event.target.value}°`;
      const angle = Number(event.target.value);
      move({ name, isFraming: true, make: () => ({ [name]: angle, camera: null }) });
    });
  }
  find("mirror").addEventListener("click", () => {
    move({ isFraming: true, make: () => ({ mirror: true, camera: null }) });
  });
  find("wear").addEventListener("change", redraw);
  find("use-pose").addEventListener("click", () => attempt(usePose));
  find("save-pose").addEventListener("click", () => attempt(savePose));
  on("files", () => {
    if (saved && !session.files.has(saved.id)) saved = null;
    showSaved();
    listStarts();
  });
  on("person", () => {
    find("wear").disabled = !session.person;
    if (find("wear").checked && figure && !find("pose-hand").hidden) redraw();
  });
  find("wear").disabled = true;
  listStarts();
}

/** Begin with the pose that is chosen, or go on with the figure as it was left. */
export function openFigure() {
  if (figure) return;
  const starts = [...find("figure-start").options].map((option) => option.value);
  const start = starts.includes(choices.pose) ? choices.pose : starts.find((one) => one === "standing") ?? starts[0];
  find("figure-start").value = start;
  begin(start);
}

/** Begin with a pose anew, whatever was to become of the one before. */
function begin(start) {
  queue.splice(asking ? 1 : 0);
  ask({ isFraming: true, make: () => ({ start }) });
}

const redraw = () => figure && ask({ name: "redraw", make: () => ({}) });

/** Bodies to start from: the gallery's, and files of body parameters. Of others the page has a map alone. */
function listStarts() {
  const start = find("figure-start").value;
  const files = [...session.files.values()].filter(({ kind, id }) => kind === "pose" && id.endsWith(".npz"));
  const names = [...session.studio.poses.map(({ id, label }) => [label, id]), ...files.map(({ id }) => [id, id])];
  find("figure-start").replaceChildren(...names.map(([label, id]) => new Option(capital(label), id)));
  if (names.some(([, id]) => id === start)) find("figure-start").value = start;
}

function drawSkeleton() {
  const make = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const { bones, handles } = session.studio;
  const lines = bones.map(([from, to]) => make("line", { "data-from": from, "data-to": to }));
  const knobs = handles.map(({ id, label }) => {
    const knob = make("g", { "data-handle": id, role: "slider", tabindex: 0, "aria-label": label, "aria-valuenow": 0 });
    knob.append(make("circle", { r: 20, class: "reach" }), make("circle", { r: 7, class: "knob" }));
    knob.addEventListener("pointerdown", (event) => grab(event, id));
    knob.addEventListener("pointermove", (event) => dragged?.handle === id && drag(event));
    for (const name of ["pointerup", "pointercancel"]) knob.addEventListener(name, () => drop(id));
    knob.addEventListener("keydown", (event) => nudge(event, id));
    knob.addEventListener("focus", () => chooseHandle(id));
    return knob;
  });
  find("skeleton").replaceChildren(...lines, ...knobs);
}

function grab(event, handle) {
  if (!figure) return;
  event.preventDefault(); // no text is selected, no page is scrolled
  event.currentTarget.setPointerCapture(event.pointerId);
  event.currentTarget.focus({ preventScroll: true });
  const [x, y] = figure.joints[handle];
  dragged = { handle, x, y };
}

function drag(event) {
  if (isFraming()) return;
  const box = find("skeleton").getBoundingClientRect();
  dragged.x = clamp((event.clientX - box.left) / box.width);
  dragged.y = clamp((event.clientY - box.top) / box.height);
  placeSkeleton();
  const drag = { ...dragged };
  move({ name: `drag of ${drag.handle}`, make: () => ({ drag }) });
}

function drop(handle) {
  if (dragged?.handle !== handle) return;
  dragged = null;
  if (!asking) settleDown();
}

function nudge(event, handle) {
  const way = ARROWS[event.key];
  if (!way || !figure) return;
  event.preventDefault();
  const step = STEP * (event.shiftKey ? 5 : 1);
  const name = `nudge of ${handle}`;
  const before = waiting().at(-1);
  const by = before?.name === name ? before.by : [0, 0]; // what waits is added to
  const [right, down] = [by[0] + way[0] * step, by[1] + way[1] * step];
  move({
    name,
    by: [right, down],
    make: ({ joints: { [handle]: [x, y] } }) => ({ drag: { handle, x: clamp(x + right), y: clamp(y + down) } }),
  });
}

const clamp = (share) => Math.min(1, Math.max(0, share));

function chooseHandle(id) {
  chosen = id;
  const { label } = session.studio.handles.find((handle) => handle.id === id);
  find("depth-label").textContent = `Depth of the ${label}`;
  find("depth").disabled = false;
  showDepth();
  for (const knob of find("skeleton").querySelectorAll("g")) {
    knob.classList.toggle("chosen", knob.dataset.handle === id);
  }
}

/** Ask for a changed figure, which is then not the saved one any more. */
function move(change) {
  if (!figure) return;
  saved = null;
  isMoved = true;
  showSaved();
  ask(change);
}

/** Changes whose turn has not come. */
const waiting = () => queue.slice(asking ? 1 : 0);

/** Whether the picture will be of another camera. */
const isFraming = () => queue.some((change) => change.isFraming);

/** Queue a change: `make` says what to send, of the figure that it changes; it takes the place of the last
 *  one of the same name. */
function ask(change) {
  const isLatest = change.name && waiting().at(-1)?.name === change.name;
  if (isLatest) queue.pop();
  queue.push(change);
  asking ??= Promise.resolve().then(sendAll);
}

async function sendAll() {
  try {
    while (queue.length) {
      const request = completed(queue[0].make(figure));
      figure = await session.api.poseFigure(request);
      queue.shift();
      isFramed = !request.camera;
      showFigure();
    }
    find("pose-error").textContent = "";
  } catch (error) {
    queue = [];
    find("pose-error").textContent = error.message;
  } finally {
    asking = null;
  }
  if (!dragged) settleDown();
}

/** A change with all that the studio does not keep: the figure as it was last answered. */
function completed(change) {
  const { rotations, orientation, turn, pitch, camera } = figure ?? {};
  const person = find("wear").checked ? session.person?.id : undefined;
  if (change.start) return { person, ...change };
  return { rotations, orientation, turn, pitch, camera, person, ...change };
}

/** Let go, the handles stand where the body's joints are; a body that left the picture is framed anew. */
function settleDown() {
  if (!figure) return;
  placeSkeleton();
  const leaves = ([x, y]) => Math.min(x, y) < RIM || Math.max(x, y) > 1 - RIM;
  if (!isFramed && Object.values(figure.joints).some(leaves)) ask({ isFraming: true, make: () => ({ camera: null }) });
}

function showFigure() {
  find("figure-picture").src = figure.picture;
  for (const name of ["turn", "pitch"]) {
    if (document.activeElement === find(name)) continue; // it is being moved
    find(name).value = figure[name];
    find(`${name}-value`).textContent = `${Math.round(figure[name])}°`;
  }
  placeSkeleton();
  if (chosen) showDepth();
}

function showDepth() {
  if (!figure || document.activeElement === find("depth")) return;
  find("depth").value = figure.joints[chosen][2];
}

function placeSkeleton() {
  const place = (joint) => {
    const [x, y] = dragged?.handle === joint ? [dragged.x, dragged.y] : figure.joints[joint];
    return [x * WIDTH, y * HEIGHT];
  };
  for (const line of find("skeleton").querySelectorAll("line")) {
    const [[x1, y1], [x2, y2]] = [place(line.dataset.from), place(line.dataset.to)];
    for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, value);
  }
  for (const knob of find("skeleton").querySelectorAll("g")) {
    const [x, y] = place(knob.dataset.handle);
    knob.setAttribute("transform", `translate(${x} ${y})`);
    knob.setAttribute("aria-valuenow", Math.round((x / WIDTH) * 100));
    knob.setAttribute("aria-valuetext", `${Math.round((x / WIDTH) * 100)} % across, ${Math.round((y / HEIGHT) * 100)} % down`);
  }
}

async function attempt(step) {
  find("pose-error").textContent = "";
  find("figure-state").textContent = "";
  try {
    await step();
  } catch (error) {
    find("pose-error").textContent = error.message;
  }
}

async function savePose() {
  await asking;
  const { rotations, orientation, turn, pitch } = figure;
  const name = find("pose-name").value.trim() || "my pose";
  saved = await keepPose({ name, rotations, orientation, turn, pitch });
  find("figure-state").textContent = `Saved as ${saved.id}; it stands in the gallery.`;
  showSaved();
}

function showSaved() {
  if (!saved) find("figure-state").textContent = "";
  showDownload(find("download-saved"), saved);
}

/** Use the figure as the pose if it was moved and is on the screen: who sees it means it. */
export async function takeFigure() {
  if (isMoved && !find("pose-hand").hidden) await usePose();
}

async function usePose() {
  await asking;
  if (!saved) await savePose();
  isMoved = false;
  choose({ pose: saved.id, motion: null });
  find("figure-state").textContent = `${saved.id} is chosen.`;
}
