// Files come in through a zone that they are dropped on, or through its button.

/** Hand the files that are dropped on `zone`, or chosen with `button`, to `take`. */
export function takeFiles({ zone, button, input, take }) {
  const hover = (is) => zone.classList.toggle("over", is);
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    hover(true);
  });
  zone.addEventListener("dragleave", () => hover(false));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    hover(false);
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
  });
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // the same file may be chosen again
    if (files.length) take(files);
  });
}

/** A file that misses its zone must not replace the page. */
export function keepPage() {
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
}
