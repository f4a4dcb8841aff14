// Painting, and what came of it.

import { compare } from "./compare.js";
import { describeEdits, describeRequest } from "./describe.js";
import { find, make, showLines, showText } from "./element.js";
import { takeFigure } from "./figure.js";
import { savePainting } from "./painting.js";
import { nameMotion, namePose } from "./pose.js";
import { describeProgress, showBar } from "./progress.js";
import { showSequence, showVideo } from "./sequence.js";
import { cancel, choices, choose, findJob, isLive, makeRequest, on, session, show, startJob } from "./session.js";
import { findMistake } from "./settings.js";

let drawn = null; // what the stage shows, so that a poll does not draw it again
let growing = null; // the sequence that grows on it
let picked = 0; // which of the seeds
let share = null; // of the photo in the comparison, once the slider was moved
let refused = null; // the line of a job that was not taken
let isStarting = false;
let cancelled = null; // id of the job whose end was asked for

export function setUpResult() {
  find("bar").addEventListener("submit", (event) => {
    event.preventDefault();
    paint();
  });
  window.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    if (!find("paint").disabled) find("bar").requestSubmit();
  });
  find("seeds").max = session.studio.limits.seeds;
  for (const [id, name] of [["seeds", "seeds"], ["first-seed", "seed"]]) {
    find(id).addEventListener("input", ({ target }) => target.validity.valid && choose({ [name]: target.valueAsNumber }));
  }
  find("cancel").addEventListener("click", () => {
    cancelled = session.shown;
    attempt(async () => {
      try {
        await cancel(cancelled);
      } finally {
        cancelled = null;
      }
    });
  });
  find("copy-command").addEventListener("click", copyCommand);
  on("choices", showBarOfChoices);
  on("jobs", showResult);
  on("shown", () => {
    picked = 0;
    refused = null;
    showResult();
  });
  showBarOfChoices();
  showResult();
}

async function attempt(step) {
  refused = null;
  try {
    await step();
  } catch (error) {
    refused = error.message;
  }
  showResult();
}

async function paint() {
  isStarting = true;
  showBarOfChoices();
  await attempt(async () => {
    const mistake = findMistake();
    if (mistake) throw new Error(mistake);
    await savePainting();
    await takeFigure();
    show((await startJob(makeRequest())).id);
  });
  isStarting = false;
  showBarOfChoices();
  const box = find("stage").getBoundingClientRect();
  if (box.bottom < 0 || box.top > innerHeight * 0.6) find("result").scrollIntoView({ block: "start" });
}

/** What will be painted, and whether it can be. */
function showBarOfChoices() {
  const { source, pose, motion, edits } = choices;
  const job = findJob(session.shown);
  find("paint").disabled = isStarting || !source.length || Boolean(job && isLive(job));
  find("paint-label").textContent = motion ? "Paint the sequence" : "Paint";
  find("seeds").disabled = find("seeds-label").hidden = Boolean(motion);
  find("first-seed-label").textContent = motion ? "Seed" : "from";
  if (document.activeElement !== find("seeds")) find("seeds").value = choices.seeds;
  if (document.activeElement !== find("first-seed")) find("first-seed").value = choices.seed;
  const changes = motion ? [] : describeEdits(edits).map(([part, change]) => `${part.toLowerCase()} ${change}`);
  const parts = [source.join(", "), motion ? nameMotion(motion) : namePose(pose), ...changes];
  find("summary").textContent = source.length ? parts.join(" · ") : "Choose a person first.";
}

function showResult() {
  const job = findJob(session.shown);
  showBarOfChoices();
  drawStage(job);
  showText(find("result-error"), refused ?? job?.error ?? "");
  showLines(find("said"), job?.state === "cancelled" ? ["Cancelled."] : (job?.said ?? []));
  showProgress(job);
  showQueue(job);
  showOutcome(job);
}

function showProgress(job) {
  find("progress").hidden = !job || !isLive(job);
  if (find("progress").hidden) return;
  find("cancel").disabled = job.id === cancelled;
  showText(find("progress-stage"), describeProgress(job));
  showBar(find("progress-bar"), job);
}

function showQueue(job) {
  const length = job && isLive(job) ? job.queue : 0;
  showText(find("queue"), length > 1 ? `${length} jobs in the queue` : "");
}

/** Draw what there is to see of a job, once for each state of it. */
function drawStage(job) {
  const isGrowing = job?.frames.length > 0 && !job.video;
  const key = JSON.stringify([job?.id, job?.state, job?.results.map(({ url }) => url), isGrowing, picked]);
  if (key !== drawn) {
    drawn = key;
    growing?.stop();
    growing = isGrowing ? showSequence(job) : null;
    find("stage").replaceChildren(growing?.frame ?? drawJob(job));
    drawStrip(job);
  }
  growing?.update(job);
}

function drawJob(job) {
  if (!job) return make("p", { class: "empty" }, "Choose a person and a pose, and paint. The picture appears here.");
  if (job.video) return showVideo(job);
  const result = job.results[picked];
  if (!result) return drawWaiting(job);
  const isOwnPose = !job.request.pose;
  return compare({
    before: job.before_url,
    after: result.url,
    alt: `${job.title}, seed ${result.seed}, synthetic`,
    ratio: result.width / result.height,
    share: share ?? (isOwnPose ? 0.5 : 0.08),
    moved: (now) => (share = now),
  });
}

/** The photo, until there is a picture of it. */
function drawWaiting(job) {
  const frame = make(
    "figure", { class: isLive(job) ? "frame waiting" : "frame ended" },
    make("img", { class: "after", src: job.before_url, alt: "The photo" }),
    make("figcaption", { class: "tag before-tag" }, "Photo"),
  );
  frame.style.setProperty("--ratio", 352 / 512);
  return frame;
}

function drawStrip(job) {
  const results = job?.results ?? [];
  find("strip").hidden = results.length < 2;
  find("strip").replaceChildren(
    ...results.map(({ url, seed }, number) =>
      make(
        "button",
        { type: "button", class: "tile", "aria-pressed": String(number === picked), onclick: () => pick(number) },
        make("img", { src: url, alt: "" }),
        make("span", {}, `Seed ${seed}`),
        make("span", { class: "small" }, "synthetic"),
      )),
  );
}

function pick(number) {
  picked = number;
  showResult();
  find("strip").children[number].focus();
}

function showOutcome(job) {
  const result = job?.results[picked];
  const download = job?.video?.download ?? result?.download;
  find("outcome").hidden = !download;
  if (!download) return;
  find("download").href = download;
  find("export-recipe").hidden = find("files-note").hidden = !job.recipe_url;
  if (job.recipe_url) find("export-recipe").href = job.recipe_url;
  const command = result?.command ?? job.command;
  if (find("command").textContent !== command) {
    find("command").textContent = command;
    find("copied").textContent = "";
  }
  find("job-settings").replaceChildren(
    ...describeRequest(job.request).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText(find("command").textContent);
    find("copied").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(find("command")); // pages of another machine may not write it
    find("copied").textContent = "Selected: press Ctrl+C";
  }
}
