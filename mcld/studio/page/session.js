// What this page knows and what is chosen on it: the one place where state lives.
//
// Panels read `session` and `choices`, change choices with `choose`, and hear of changes with `on`.

import { getSession, getStudio, openSession, removeSession, sessionApi } from "./api.js";

const TOKEN = "mcld-session";
const CHOICES = "mcld-choices";
const POLL_MS = 250;
const PATIENCE = 8; // polls in a row that may fail

export const session = {
  token: null,
  api: null,
  studio: null,
  files: new Map(), // id -> File
  people: [],
  jobs: [], // newest first
  person: null, // of the photos that are chosen
  isReading: false, // whether they are being read
  shown: null, // id of the job whose result is shown
};

const UNCHOSEN = {
  source: [], // ids of the person's photos
  pose: null, // of the gallery or a file; null: the photo's own
  motion: null, // in place of a pose
  edits: {}, // part or "face" or "texture" -> file id; recolor: part -> colour
  keep: null,
  strength: null,
  fit_body: false, // the person's own proportions in another's pose
  seeds: 1, // pictures, of seeds one after the other
  seed: 0, // the first of them
  weights: null,
  steps: null,
  guidance: null,
  scheduler: null,
};
export const choices = structuredClone(UNCHOSEN);

const listeners = new Map();
let replacing = null; // while another session is opened

/** Hear of "choices" (with the names of what changed), "files", "person", "jobs", "shown", or of a session
 *  that has "ended" and was followed by a new one. */
export function on(topic, listener) {
  listeners.set(topic, [...(listeners.get(topic) ?? []), listener]);
}

function announce(topic, detail) {
  for (const listener of listeners.get(topic) ?? []) listener(detail);
}

export function choose(changes) {
  const changed = Object.keys(changes).filter(
    (name) => JSON.stringify(choices[name]) !== JSON.stringify(changes[name]),
  );
  if (!changed.length) return;
  for (const name of changed) choices[name] = structuredClone(changes[name]);
  sessionStorage.setItem(CHOICES, JSON.stringify(choices));
  announce("choices", changed);
}

/** Choose the photos of a person. What was painted was painted on another's texture map. */
export function choosePhotos(source) {
  const { texture, ...edits } = choices.edits;
  choose({ source, edits });
}

export const isLive = (job) => job.state === "queued" || job.state === "running";
export const findJob = (id) => session.jobs.find((job) => job.id === id);

/** Jobs that made something to look at. */
export const paintings = () => session.jobs.filter((job) => job.kind !== "person");

/** Learn what the studio has, and go on with the session that this page had before a reload, or open one.
 *  Returns whether there was one that has gone. */
export async function load() {
  session.studio = await getStudio();
  choices.weights = session.studio.weights[0].id;
  const token = sessionStorage.getItem(TOKEN);
  const kept = token && (await getSession(token).catch(ignoreGone));
  if (!kept) {
    await open();
    return token !== null;
  }
  enter(token);
  for (const file of kept.files) session.files.set(file.id, file);
  session.people = kept.people;
  session.jobs = kept.jobs.toReversed();
  return false;
}

/** Go on where the page was before a reload, once all panels listen. */
export function resume() {
  const kept = sessionStorage.getItem(CHOICES);
  if (kept) choose(readChoices(JSON.parse(kept)));
  for (const job of session.jobs.filter(isLive)) follow(job);
  const newest = paintings()[0];
  if (newest) show(newest.id);
}

function ignoreGone(error) {
  if (error.status !== 404) throw error;
}

/** What was chosen once, as far as its files are still there. */
function readChoices(kept) {
  const isThere = (id) => session.files.has(id);
  const isListed = (list, id) => list.some((one) => one.id === id);
  const { weights, poses, motions } = session.studio;
  const edits = Object.entries(kept.edits).filter(([name, id]) => name === "recolor" || isThere(id));
  return {
    ...kept,
    source: kept.source.filter(isThere),
    pose: isThere(kept.pose) || isListed(poses, kept.pose) ? kept.pose : null,
    motion: isListed(motions, kept.motion) ? kept.motion : null,
    edits: Object.fromEntries(edits),
    weights: isListed(weights, kept.weights) ? kept.weights : weights[0].id,
  };
}

function enter(token) {
  session.token = token;
  session.api = sessionApi(token, () => {
    if (token === session.token) replace(async () => announce("ended"));
  });
}

/** Begin a session in which nothing is chosen: no panel hears of files that are gone while they are chosen. */
async function open() {
  enter((await openSession()).session);
  sessionStorage.setItem(TOKEN, session.token);
  sessionStorage.removeItem(CHOICES);
  Object.assign(choices, structuredClone(UNCHOSEN), { weights: session.studio.weights[0].id });
  session.files.clear();
  session.people = [];
  session.jobs = [];
  announce("files");
  announce("jobs");
  show(null);
  announce("choices", Object.keys(choices));
}

/** Open a session in place of this one, once. */
function replace(after) {
  replacing ??= open().then(after).finally(() => (replacing = null));
  return replacing;
}

/** Remove the session with all that is in it, and begin another. */
export async function forget() {
  await removeSession(session.token).catch(ignoreGone);
  await replace();
}

export async function upload(file, kind) {
  const most = session.studio.limits.upload_bytes;
  if (file.size > most) {
    throw new Error(`${file.name} has ${Math.ceil(file.size / 1e6)} MB; at most ${Math.floor(most / 1e6)} MB are taken.`);
  }
  return keepFile((api) => api.upload(file, kind));
}

export const takeExample = (example) => keepFile((api) => api.takeExample(example));
export const savePose = (pose) => keepFile((api) => api.savePose(pose));

/** Let what comes of asking be a file of the session. */
async function keepFile(ask) {
  const { api } = session;
  const file = await ask(api);
  if (api !== session.api) throw new Error(`${file.id} came too late: its session has ended.`);
  session.files.set(file.id, file);
  announce("files");
  return file;
}

/** Remove a file, unless something still uses it. */
export async function removeFile(id) {
  const { api } = session;
  if (session.jobs.some(({ request }) => uses(request, id))) return;
  try {
    await api.removeFile(id);
  } catch (error) {
    if (error.status === 409) return;
    if (error.status !== 404) throw error;
  }
  if (api === session.api && session.files.delete(id)) announce("files");
}

const uses = ({ source = [], pose, edits = {} }, id) => [...source, pose, ...Object.values(edits)].includes(id);

export function show(id) {
  session.shown = id;
  announce("shown");
}

/** Start a job and follow it; it stands in `session.jobs` from then on. */
export async function startJob(request) {
  const job = await session.api.startJob(request);
  keepJob(job);
  follow(job);
  return job;
}

/** Read the person of the chosen photos, if that has not been done; `report` hears of the job. */
export async function readPerson(report) {
  const photos = choices.source;
  const isWanted = () => choices.source === photos;
  session.person = session.people.find((person) => person.photos.join("\n") === photos.join("\n")) ?? null;
  session.isReading = !session.person && photos.length > 0;
  announce("person");
  if (!session.isReading) return;
  const { api } = session;
  try {
    const job = await follow(await api.readPerson(photos), (now) => {
      if (isWanted()) report(now);
    });
    if (api !== session.api) return;
    if (job.person) session.people = [...session.people, job.person];
    if (isWanted()) session.person = job.person;
  } finally {
    if (isWanted()) {
      session.isReading = false;
      announce("person");
    }
  }
}

export async function cancel(id) {
  keepJob(await session.api.cancelJob(id));
}

/** Remove a job that has ended, or that the studio has forgotten. */
export async function removeJob(id) {
  await session.api.removeJob(id).catch(ignoreGone);
  session.jobs = session.jobs.filter((job) => job.id !== id);
  if (session.shown === id) show(null);
  announce("jobs");
}

function keepJob(job) {
  const place = session.jobs.findIndex((one) => one.id === job.id);
  session.jobs = place < 0 ? [job, ...session.jobs] : session.jobs.with(place, job);
  announce("jobs");
}

/** Ask for a job until it has ended; returns it as it ended. */
async function follow(job, report = keepJob) {
  const { api } = session;
  let failures = 0;
  report(job);
  while (isLive(job)) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS * (1 + failures)));
    if (api !== session.api) return job; // the session was removed meanwhile
    try {
      job = await api.getJob(job.id);
      failures = 0;
    } catch (error) {
      if (api !== session.api) return job;
      failures += 1;
      if (error.status === 0 && failures <= PATIENCE) continue;
      job = { ...job, state: "failed", error: error.message };
    }
    report(job);
  }
  return job;
}

/** What a job is asked for, as it is chosen now. */
export function makeRequest() {
  const { source, weights, steps, guidance, scheduler, seed } = choices;
  const common = { source, weights, steps, guidance, scheduler };
  if (choices.motion) return { kind: "sequence", ...common, motion: choices.motion, seed };
  const { pose, edits, keep, strength, fit_body } = choices;
  const seeds = Array.from({ length: choices.seeds }, (_, number) => seed + number);
  return { kind: "picture", ...common, pose, edits, keep, strength, fit_body, seeds };
}

/** The edits of a request without those that change nothing. */
export function listEdits(edits) {
  const isEdit = ([name, value]) => value !== null && (name !== "recolor" || Object.keys(value).length > 0);
  return Object.fromEntries(Object.entries(edits).filter(isEdit));
}

/** Choose everything as it was when a job was asked for. */
export function chooseAsIn(request) {
  const { source, motion = null, pose = null, edits = {}, keep = null, strength = null } = request;
  const { fit_body = false, weights, steps = null, guidance = null, scheduler = null } = request;
  const seeds = request.seeds ?? [request.seed ?? 0];
  choose(readChoices({
    source, motion, pose, edits: listEdits(edits), keep, strength, fit_body,
    weights, steps, guidance, scheduler,
    seed: seeds[0], seeds: seeds.length,
  }));
}
