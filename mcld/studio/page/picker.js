// One photo, of this session, of the generated people, or from the disk: who another part comes from.

import { takeFiles } from "./drop.js";
import { capital, find, pictureButton } from "./element.js";
import { session, takeExample, upload } from "./session.js";

let settle = null;

/** Let a photo be picked; the File, or null if none was. */
export function pickPhoto(heading) {
  find("picker-heading").textContent = heading;
  find("picker-error").textContent = "";
  const photos = [...session.files.values()].filter((file) => file.kind === "photo");
  find("picker-own").hidden = !photos.length;
  find("picker-photos").replaceChildren(
    ...photos.map((file) => pictureButton({ url: file.url, label: file.id, press: () => end(file) })),
  );
  find("picker").showModal();
  return new Promise((resolve) => {
    settle = resolve;
  });
}

function end(file) {
  const picked = settle;
  settle = null;
  find("picker").close();
  picked?.(file);
}

async function endWith(taking) {
  find("picker-error").textContent = "";
  try {
    end(await taking);
  } catch (error) {
    find("picker-error").textContent = error.message;
  }
}

export function setUpPicker() {
  find("picker-examples").replaceChildren(
    ...session.studio.examples.map(({ id, label, url }) =>
      pictureButton({ url, label: capital(label), press: () => endWith(takeExample(id)) })),
  );
  takeFiles({
    zone: find("picker-drop"),
    button: find("picker-choose"),
    input: find("picker-file"),
    take: ([file]) => endWith(upload(file, "photo")),
  });
  find("picker").addEventListener("close", () => end(null));
  find("picker-close").addEventListener("click", () => end(null));
}
