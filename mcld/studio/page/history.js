// The session's pictures and sequences, newest first. A click brings all of one's settings back.

import { describeRequest } from "./describe.js";
import { find, make } from "./element.js";
import { chooseAsIn, forget, isLive, on, paintings, removeJob, session, show } from "./session.js";

const STATES = { queued: "waiting", running: "painting", failed: "failed", cancelled: "cancelled" };

let drawn = null; // the list as it stands, so that a poll does not draw it again

export function setUpHistory() {
  on("jobs", showHistory);
  on("shown", markShown);
  find("forget").addEventListener("click", () => {
    if (confirm("Remove all photos, poses and pictures of this session?")) forget();
  });
  showHistory();
}

function showHistory() {
  const jobs = paintings();
  find("history-empty").hidden = jobs.length > 0;
  find("forget").hidden = !jobs.length;
  const key = JSON.stringify(jobs.map((job) => [job.id, job.state, thumbnail(job)]));
  if (key === drawn) return;
  drawn = key;
  find("jobs").replaceChildren(...jobs.map(makeEntry));
  markShown();
}

const thumbnail = (job) => job.results[0]?.url ?? job.video?.poster ?? job.frames[0] ?? job.before_url;

function makeEntry(job) {
  const settings = describeRequest(job.request).map(([name, value]) => `${name}: ${value}`);
  const state = STATES[job.state] ?? "synthetic";
  const count = job.results.length > 1 ? ` · ${job.results.length} seeds` : "";
  return make(
    "li",
    { "data-job": job.id },
    make(
      "button",
      { type: "button", class: "entry", title: settings.join("\n"), onclick: () => restore(job) },
      make("img", { src: thumbnail(job), alt: "", loading: "lazy" }),
      make("span", { class: "title" }, job.title),
      make("span", { class: "small" }, state + count),
    ),
    isLive(job) ? null : make("button", {
      type: "button", class: "remove", "aria-label": `Remove ${job.title}`, onclick: () => removeJob(job.id),
    }, "×"),
  );
}

function restore(job) {
  chooseAsIn(job.request);
  show(job.id);
}

function markShown() {
  for (const entry of find("jobs").children) {
    entry.firstElementChild.setAttribute("aria-current", String(entry.dataset.job === session.shown));
  }
}
