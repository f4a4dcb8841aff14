// A job's settings in words.

import { capital } from "./element.js";
import { nameMotion, namePose } from "./pose.js";
import { listEdits, session } from "./session.js";

const KEEP = { background: "the photo's", nothing: "left to the network" };

/** All that a picture or a sequence was asked for: [name, value] each, and nothing that was left as it is. */
export function describeRequest(request) {
  const { source, motion, pose, edits = {}, seeds = [request.seed ?? 0] } = request;
  const lines = [
    ["Person", source.join(", ")],
    motion ? ["Motion", nameMotion(motion)] : ["Pose", namePose(pose)],
    ...describeEdits(listEdits(edits)),
    [seeds.length > 1 ? "Seeds" : "Seed", seeds.length > 1 ? `${seeds[0]} to ${seeds.at(-1)}` : String(seeds[0])],
    ["Weights", session.studio.weights.find((one) => one.id === request.weights)?.label ?? request.weights],
    ["Steps", request.steps],
    ["Guidance scale", request.guidance],
    ["Scheduler", request.scheduler],
    ["Background", KEEP[request.keep]],
    ["Strength", request.strength],
    ["Proportions", request.fit_body ? "their own" : null],
  ];
  return lines.filter(([, value]) => value != null).map(([name, value]) => [name, String(value)]);
}

/** The edits of a request: [part, what becomes of it] each. */
export function describeEdits({ recolor = {}, texture, ...donors }) {
  const label = (part) => capital(session.studio.parts.find(({ id }) => id === part)?.label ?? "face");
  return [
    ...Object.entries(donors).map(([part, file]) => [label(part), `from ${file}`]),
    ...Object.entries(recolor).map(([part, colour]) => [label(part), colour]),
    ...(texture ? [["Texture map", "painted"]] : []),
  ];
}
