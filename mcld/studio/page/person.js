// Who is painted: their photos, and what was found in them.

import { takeFiles } from "./drop.js";
import { capital, find, make, pictureButton, showLines, showText } from "./element.js";
import { pickPhoto } from "./picker.js";
import { describeProgress, showBar } from "./progress.js";
import { choices, choosePhotos, isLive, on, readPerson, session, takeExample, upload } from "./session.js";

const takenExamples = new Map(); // example -> id of the file that it became

export function setUpPerson() {
  takeFiles({
    zone: find("person"),
    button: find("choose-photos"),
    input: find("photo-files"),
    take: (files) => attempt(() => takePhotos(files)),
  });
  on("choices", (changed) => {
    if (!changed.includes("source")) return;
    showPhotos();
    markExamples();
    attempt(() => readPerson(showReading));
  });
  on("person", showPerson);
  on("files", () => {
    for (const [example, id] of takenExamples) if (!session.files.has(id)) takenExamples.delete(example);
  });
  listExamples();
  showPhotos();
}

async function attempt(step) {
  find("person-error").textContent = "";
  try {
    await step();
  } catch (error) {
    find("reading").hidden = true;
    find("person-error").textContent = error.message;
  }
}

async function takePhotos(files) {
  checkCount(files.length);
  const taken = [];
  for (const file of files) taken.push((await upload(file, "photo")).id);
  choosePhotos(taken);
}

async function chooseExample(id) {
  if (!takenExamples.has(id)) takenExamples.set(id, (await takeExample(id)).id);
  choosePhotos([takenExamples.get(id)]);
}

function checkCount(count) {
  const most = session.studio.limits.photos;
  if (count > most) throw new Error(`At most ${most} photos of one person are taken, and these are ${count}.`);
}

async function addPhoto() {
  checkCount(choices.source.length + 1);
  const file = await pickPhoto("Another photo of this person");
  if (file && !choices.source.includes(file.id)) choosePhotos([...choices.source, file.id]);
}

function listExamples() {
  find("examples").replaceChildren(
    ...session.studio.examples.map(({ id, label, url }) =>
      pictureButton({ url, label: capital(label), pressed: false, press: () => attempt(() => chooseExample(id)) })),
  );
}

function markExamples() {
  session.studio.examples.forEach(({ id }, place) => {
    const isChosen = choices.source.includes(takenExamples.get(id));
    find("examples").children[place].setAttribute("aria-pressed", String(isChosen));
  });
}

function showPhotos() {
  const { source } = choices;
  find("person-now").textContent = source.length > 1 ? `${source.length} photos` : (source[0] ?? "");
  find("photos").hidden = !source.length;
  find("person-drop").hidden = source.length > 0;
  find("examples-heading").textContent = source.length ? "Generated people" : "Or try with a generated person";
  find("photos").replaceChildren(
    ...source.map((id) =>
      make(
        "span",
        { class: "chip" },
        make("img", { src: session.files.get(id).url, alt: "" }),
        make("span", {}, id),
        make("button", {
          type: "button", class: "remove", "aria-label": `Remove ${id}`,
          onclick: () => choosePhotos(choices.source.filter((one) => one !== id)),
        }, "×"),
      )),
    make("button", { type: "button", onclick: () => attempt(addPhoto) }, "Add a photo"),
    make("button", { type: "button", onclick: () => find("photo-files").click() }, "Someone else"),
  );
}

function showReading(job) {
  find("reading").hidden = !isLive(job);
  showText(find("reading-stage"), describeProgress(job));
  showBar(find("reading-bar"), job);
  if (job.state === "failed") find("person-error").textContent = job.error;
}

function showPerson() {
  const { person, isReading } = session;
  const orElse = (line) => (person ? line : isReading ? null : "Not read");
  find("reading").hidden = true;
  find("found").hidden = !choices.source.length;
  if (!choices.source.length) return;
  const photo = person?.photo_url ?? session.files.get(choices.source[0]).url;
  find("found-pictures").replaceChildren(
    foundPicture("Photo", photo),
    foundPicture("Body map", person?.map_url, orElse("No body found")),
    foundPicture("Texture map", person?.texture_url, orElse("No texture map")),
    foundPicture("Face", person?.face_url, orElse("No face found")),
  );
  showLines(find("missing"), person?.missing ?? []);
  showLines(find("person-said"), person?.said ?? []);
  find("shown-parts").hidden = !person && !isReading;
  find("shown-parts").replaceChildren(
    ...session.studio.parts.flatMap(({ id, label }) => showShare(capital(label), person?.shown[id])),
  );
}

function foundPicture(label, url, instead) {
  const picture = url
    ? make("a", { href: url, target: "_blank", title: `Open the ${label.toLowerCase()}` }, make("img", { src: url, alt: label }))
    : make("span", { class: instead ? "blank" : "blank waiting" }, instead || "");
  return make("figure", {}, picture, make("figcaption", {}, label));
}

function showShare(label, share) {
  const percent = share === undefined ? "" : `${Math.round(share * 100)} %`;
  const bar = make("meter", { min: 0, max: 1, value: share ?? 0, "aria-hidden": "true" });
  return [make("div", {}, make("dt", {}, label), make("dd", {}, bar, percent))];
}
