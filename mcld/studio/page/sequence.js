// A sequence as it grows, frame by frame, and then its video.

import { find, isStill, make } from "./element.js";
import { session } from "./session.js";

const RATIO = 352 / 512;

/** What shows a sequence's job; `update` brings it up to date, `stop` ends what moves. */
export function showSequence(job) {
  const picture = make("img", { class: "after", alt: "The newest frame" });
  const frame = make("figure", { class: "frame" }, picture, make("figcaption", { class: "tag" }, "Synthetic"));
  frame.style.setProperty("--ratio", RATIO);
  picture.addEventListener("load", () => {
    frame.style.setProperty("--ratio", picture.naturalWidth / picture.naturalHeight);
  });
  const film = find("film");
  film.replaceChildren();
  film.hidden = false;
  const { seconds, frames } = session.studio.motions.find(({ id }) => id === job.request.motion);
  let playing = 0;
  const timer = isStill() ? null : setInterval(() => play(playing + 1), (seconds / frames) * 1000);

  /** Show a frame in turn, of those that have come. */
  function play(number) {
    const come = [...film.querySelectorAll("img")].filter((one) => one.complete);
    if (!come.length) return;
    playing = number % come.length;
    picture.src = come[playing].src;
  }

  function update(now) {
    for (const url of now.frames.slice(film.children.length)) {
      film.append(make("li", {}, make("img", { src: url, alt: "" })));
    }
    film.scrollLeft = film.scrollWidth;
    if (isStill() || !picture.src) picture.src = now.frames.at(-1);
  }

  function stop() {
    clearInterval(timer);
    film.hidden = true;
  }

  return { frame, update, stop };
}

/** The video of a sequence that is done. */
export function showVideo(job) {
  const video = make("video", { src: job.video.url, poster: job.video.poster, controls: true, loop: true, playsinline: true });
  video.muted = true;
  video.autoplay = !isStill();
  video.addEventListener("loadedmetadata", () => {
    frame.style.setProperty("--ratio", video.videoWidth / video.videoHeight);
  });
  const frame = make("figure", { class: "frame" }, video, make("figcaption", { class: "tag" }, "Synthetic"));
  frame.style.setProperty("--ratio", RATIO);
  return frame;
}
