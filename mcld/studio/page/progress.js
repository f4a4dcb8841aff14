// How far a job is, in words and as a bar.

import { capital } from "./element.js";

/** One line of where a job stands. */
export function describeProgress(job) {
  if (job.state === "queued") {
    if (!job.ahead) return "Waiting, next in turn";
    return `Waiting, ${job.ahead} ${job.ahead === 1 ? "job" : "jobs"} before this one`;
  }
  return capital(job.stage || "starting");
}

/** Show how far a job is; without a total the bar only moves. */
export function showBar(bar, job) {
  if (job.total > 1) {
    bar.max = job.total;
    bar.value = job.done;
  } else {
    bar.removeAttribute("value");
  }
}
