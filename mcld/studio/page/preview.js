// What the changes look like on the photo, pasted at once and without the network.

import { find } from "./element.js";
import { choices, on, session } from "./session.js";

const WAIT_MS = 250; // after the last change

let waiting = null;
let asking = null; // aborts the preview that is under way

export function setUpPreview() {
  on("choices", (changed) => {
    if (!changed.includes("source") && !changed.includes("edits")) return;
    clearTimeout(waiting);
    waiting = setTimeout(refresh, WAIT_MS);
  });
}

async function refresh() {
  asking?.abort();
  asking = null;
  const { source, edits } = choices;
  find("dress-error").textContent = "";
  find("preview").classList.remove("waiting");
  if (!source.length || !hasEdits(edits)) {
    show(session.files.get(source[0])?.url, "The photo. Changes show here at once.");
    return;
  }
  const own = new AbortController();
  asking = own;
  find("preview").classList.add("waiting");
  try {
    const picture = await session.api.preview(source, edits, own.signal);
    if (own === asking) show(picture, "Pasted onto the photo, synthetic. Painting blends it in.");
  } catch (error) {
    if (own !== asking) return;
    show(null, "");
    find("dress-error").textContent = error.message;
  } finally {
    if (own === asking) find("preview").classList.remove("waiting");
  }
}

const hasEdits = ({ recolor = {}, ...others }) => Object.keys(others).length + Object.keys(recolor).length > 0;

function show(picture, caption) {
  for (const id of ["preview-picture", "painting-preview"]) {
    find(id).hidden = !picture;
    if (picture) find(id).src = picture;
    else find(id).removeAttribute("src");
  }
  find("preview-caption").textContent = caption;
}
