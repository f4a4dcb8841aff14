// The pose to paint them in: of the gallery, of a file, made by hand, or a motion in its place.

import { takeFiles } from "./drop.js";
import { capital, find, isStill, make, pictureButton, pictureChoice, showDownload } from "./element.js";
import { openFigure } from "./figure.js";
import { choices, choose, on, session, takeExample, upload } from "./session.js";

const TABS = ["gallery", "file", "hand", "motion"];

let readFile = null; // id of the file whose pose was read last

export function setUpPose() {
  for (const name of TABS) find(`tab-${name}`).addEventListener("click", () => openTab(name));
  find("pose-tabs").addEventListener("keydown", moveAmongTabs);
  openTab("gallery");
  takeFiles({
    zone: find("pose-file"),
    button: find("choose-pose-file"),
    input: find("pose-files"),
    take: ([file]) => takePose(file.name, () => upload(file, "pose")),
  });
  find("pose-examples").replaceChildren(
    ...session.studio.examples.map(({ id, label, url }) =>
      pictureButton({ url, label: capital(label), press: () => takePose(label, () => takeExample(id)) })),
  );
  on("files", () => {
    if (readFile && !session.files.has(readFile)) showReadPose(null, "");
    showPoses();
  });
  on("choices", (changed) => {
    if (changed.includes("source") || !isListed(choices.pose)) showPoses();
    markChosen();
    if (changed.includes("motion") && choices.motion) openTab("motion");
    else if (changed.includes("motion") && isOpen("motion")) openTab("gallery");
  });
  showMotions();
  showPoses();
}

const isOpen = (name) => !find(`pose-${name}`).hidden;

function openTab(name) {
  for (const one of TABS) {
    find(`pose-${one}`).hidden = one !== name;
    find(`tab-${one}`).setAttribute("aria-selected", String(one === name));
    find(`tab-${one}`).tabIndex = one === name ? 0 : -1;
  }
  find("pose-error").textContent = "";
  if (name === "hand") openFigure();
}

function moveAmongTabs(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const place = TABS.findIndex(isOpen);
  const next = TABS[(place + step + TABS.length) % TABS.length];
  openTab(next);
  find(`tab-${next}`).focus();
}

async function takePose(name, take) {
  find("pose-error").textContent = "";
  showReadPose(null, `Reading the pose of ${name} …`);
  try {
    const file = await take();
    choose({ pose: file.id, motion: null });
    showReadPose(file, `The pose of ${file.id} is chosen. It stands in the gallery, too.`);
  } catch (error) {
    showReadPose(null, "");
    find("pose-error").textContent = error.message;
  }
}

function showReadPose(file, line) {
  readFile = file?.id ?? null;
  find("pose-file-picture").hidden = !file;
  if (file) find("pose-file-picture").src = file.url;
  find("pose-file-state").textContent = line;
}

/** The poses to choose from: the photo's own first, then those of this session, then the gallery. */
function listPoses() {
  const { pose, source } = choices;
  const own = { id: "", label: "Own pose", url: source.length ? session.files.get(source[0]).url : null };
  const gallery = session.studio.poses.map((one) => ({ ...one, label: capital(one.label) }));
  const files = [...session.files.values()].filter((file) => file.kind === "pose" || file.id === pose);
  return [own, ...files.map(({ id, url }) => ({ id, label: id.replace(/\.npz$/, ""), url })), ...gallery];
}

export const nameMotion = (id) => capital(session.studio.motions.find((motion) => motion.id === id)?.label ?? id);

/** A pose's name as it is shown. */
export function namePose(id) {
  return listPoses().find((pose) => pose.id === (id ?? ""))?.label ?? id;
}

const isListed = (id) => [...find("poses").elements].some((input) => input.value === (id ?? ""));

function showPoses() {
  find("poses").replaceChildren(
    make("legend", { class: "unseen" }, "Pose"),
    ...listPoses().map(({ id, label, url }) =>
      pictureChoice({
        group: "pose", value: id, label, url,
        choose: () => choose({ pose: id || null, motion: null }),
      })),
  );
  markChosen();
}

function showMotions() {
  find("motions").append(...session.studio.motions.map(({ id, label, seconds, url }) =>
    pictureChoice({
      group: "motion", value: id, label: `${capital(label)}, ${seconds} s`, url,
      choose: () => choose({ motion: id }),
    })));
  if (!isStill()) return;
  for (const picture of find("motions").querySelectorAll("img")) {
    picture.addEventListener("load", () => showFirstFrame(picture), { once: true });
  }
}

/** In place of an animated picture. */
function showFirstFrame(picture) {
  const frame = make("canvas", { width: picture.naturalWidth, height: picture.naturalHeight });
  frame.getContext("2d").drawImage(picture, 0, 0);
  picture.replaceWith(frame);
}

/** The lists stay as they are, so that the keyboard keeps its place in them. */
function markChosen() {
  const { pose, motion } = choices;
  for (const input of find("poses").elements) input.checked = !motion && input.value === (pose ?? "");
  for (const input of find("motions").elements) input.checked = input.value === motion;
  const file = session.files.get(pose);
  showDownload(find("download-pose"), file?.kind === "pose" && !motion ? file : null);
  find("pose-now").textContent = motion ? nameMotion(motion) : namePose(pose);
}
