// A picture over the one that it was made of, with a slider between them.

import { make } from "./element.js";

/** Two pictures in one frame of `ratio` (width to height); `share` of it, from the left, shows the first. */
export function compare({ before, after, alt, ratio, share, moved }) {
  const first = make("img", { class: "before", src: before, alt: "The photo" });
  const line = make("span", { class: "line", "aria-hidden": "true" });
  const slider = make("input", { type: "range", min: 0, max: 100, value: share * 100, "aria-label": "Before and after" });
  const tag = make("span", { class: "tag before-tag", "aria-hidden": "true" }, "Photo");
  const place = () => {
    tag.hidden = slider.value < 20;
    first.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`;
    line.style.left = `${slider.value}%`;
    slider.setAttribute("aria-valuetext", `${slider.value} % of the photo`);
  };
  slider.addEventListener("input", () => {
    place();
    moved(slider.value / 100);
  });
  place();
  const frame = make(
    "figure",
    { class: "frame compare" },
    make("img", { class: "after", src: after, alt }),
    first, slider, line,
    tag,
    make("figcaption", { class: "tag" }, "Synthetic"),
  );
  frame.style.setProperty("--ratio", ratio);
  return frame;
}
