"use strict";
// The study: screens one after the other. Which pictures are what is not known here.
const study = JSON.parse(document.getElementById("content").textContent);
const find = (id) => document.getElementById(id);
const KEPT = `mcld-study-${study.study}`;
const TOO_SOON = 150; // ms: a key that was held, or a second click

let state = null; // {participant, step, answers: {id: {answer, left, seconds}}}
let steps = [];
let seed = 0;
let shownAt = 0;
let hiding = 0;

/** FNV-1a, 32 bits: the seed of a participant's order. */
function hash(text) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193);
  return value >>> 0;
}

/** Mulberry32: numbers in 0..1 that follow from a seed. */
function random(from) {
  let a = from;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffle(list, draw) {
  const mixed = [...list];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
  }
  return mixed;
}

/** What this participant is shown, in order; half of the comparisons are turned around. */
function plan() {
  seed = hash(`${study.study}:${state.participant}`);
  const draw = random(seed);
  const compared = Object.keys(study.compared);
  const turned = shuffle(compared.map((_, k) => k % 2 === 1), draw);
  steps = [{ screen: "part", part: 1 }];
  for (const id of shuffle(study.judged, draw)) steps.push({ screen: "judge", id });
  if (compared.length) steps.push({ screen: "part", part: 2 });
  for (const [k, id] of shuffle(compared, draw).entries()) {
    const pictures = study.compared[id].pictures;
    steps.push({ screen: "compare", id, pictures: turned[k] ? [...pictures].reverse() : pictures });
  }
  steps.push({ screen: "end" });
}

function keep() {
  try {
    localStorage.setItem(KEPT, JSON.stringify(state));
  } catch {
    find("unkept").hidden = false;
  }
}

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT));
    return kept && typeof kept.participant === "string" ? kept : null;
  } catch {
    return null;
  }
}

const isTask = (step) => step.screen === "judge" || step.screen === "compare";

function show() {
  clearTimeout(hiding);
  const step = state ? steps[state.step] : { screen: "start" };
  for (const section of document.querySelectorAll("section")) {
    section.hidden = section.id !== step.screen;
  }
  ({ start: showStart, part: showPart, judge: showJudge, compare: showCompare, end: showEnd })[
    step.screen
  ](step);
  showProgress(step);
  scrollTo(0, 0);
  find(step.screen).querySelector("h1").focus({ preventScroll: true });
  shownAt = performance.now();
}

function showStart() {
  const letters = "abcdefghjkmnpqrstuvwxyz23456789";
  const drawn = crypto.getRandomValues(new Uint8Array(8));
  find("participant").value = Array.from(drawn, (n) => letters[n % letters.length]).join("");
}

function showPart({ part }) {
  const both = Object.keys(study.compared).length > 0;
  find("part-number").textContent = both ? `Part ${part} of 2` : "";
  if (part === 1) {
    find("part-title").textContent = "Real photo, or generated?";
    find("part-text").textContent =
      "You will see pictures of people one by one. About half are photos, the others were made by a" +
      " computer. Tell which you think it is. Look at the face, the hands, and the pattern of the" +
      " clothes." +
      (study.seconds
        ? ` Each picture is shown for ${study.seconds} ${study.seconds === 1 ? "second" : "seconds"}, once; you may answer after that.`
        : " If in doubt, guess.");
    find("part-keys").textContent = "Keys: 1 or ← for real, 2 or → for generated, Backspace to go back.";
  } else {
    find("part-title").textContent = "Which is better?";
    find("part-text").textContent =
      "Now you see a photo of a person, and how they really look in another pose. Beside these are two" +
      " pictures that a computer made of that. Choose the better one: whose clothes, face and pose are" +
      " closer to the photos. If in doubt, guess.";
    find("part-keys").textContent = "Keys: 1 or ← for picture 1, 2 or → for picture 2, Backspace to go back.";
  }
}

function mark(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

function showJudge({ id }) {
  const known = state.answers[id];
  const image = find("judged");
  mark(find("real"), known?.answer === "real");
  mark(find("generated"), known?.answer === "generated");
  // Shown for a limited time, a picture is shown once.
  const hide = (hidden) => {
    image.classList.toggle("over", hidden);
    find("gone").hidden = !hidden;
  };
  hide(Boolean(study.seconds && known));
  image.onload = () => {
    if (study.seconds && !known) hiding = setTimeout(hide, study.seconds * 1000, true);
  };
  image.src = study.pictures[id];
}

function showCompare({ id, pictures }) {
  find("person").src = study.compared[id].person;
  find("truth").src = study.compared[id].truth;
  for (const [k, side] of ["left", "right"].entries()) {
    find(side).querySelector("img").src = study.pictures[pictures[k]];
    mark(find(side), state.answers[id]?.answer === pictures[k]);
  }
}

function showProgress(step) {
  find("foot").hidden = !isTask(step) && step.screen !== "end";
  if (find("foot").hidden) return;
  const tasks = steps.filter(isTask);
  const done = steps.slice(0, state.step).filter(isTask).length;
  find("bar").max = tasks.length;
  find("bar").value = done;
  find("count").textContent = `${Math.min(done + 1, tasks.length)} of ${tasks.length}`;
  find("back").disabled = !isTask(steps[state.step - 1]);
}

function move(by) {
  state.step += by;
  keep();
  show();
}

/** The first or second choice of what is shown. */
function answer(which) {
  const step = steps[state.step];
  const seconds = performance.now() - shownAt;
  if (seconds < TOO_SOON) return;
  const chosen = step.screen === "judge" ? ["real", "generated"][which] : step.pictures[which];
  state.answers[step.id] = { answer: chosen, seconds: Math.round(seconds) / 1000 };
  move(1);
}

function back() {
  if (isTask(steps[state.step - 1])) move(-1);
}

/** All answers as they are sent back. */
function collect() {
  const told = { study: study.study, participant: state.participant, seed, judged: [], compared: [] };
  for (const step of steps) {
    const given = state.answers[step.id];
    if (step.screen === "judge") told.judged.push({ picture: step.id, ...given });
    if (step.screen === "compare") told.compared.push({ comparison: step.id, left: step.pictures[0], ...given });
  }
  return JSON.stringify(told, null, 1);
}

function showEnd() {
  const text = collect();
  find("answers").value = text;
  find("said").textContent = "";
  const link = find("save");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `answers-${study.study}-${state.participant}.json`;
}

find("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  state = { participant: find("participant").value, step: 0, answers: {} };
  plan();
  keep();
  show();
});
find("go").addEventListener("click", () => move(1));
find("back").addEventListener("click", back);
find("real").addEventListener("click", () => answer(0));
find("generated").addEventListener("click", () => answer(1));
find("left").addEventListener("click", () => answer(0));
find("right").addEventListener("click", () => answer(1));
find("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(find("answers").value);
    find("said").textContent = "Copied.";
  } catch {
    find("answers").select();
    find("said").textContent = "They are selected: copy them with your browser.";
  }
});
find("anew").addEventListener("click", () => {
  if (!confirm("Delete these answers from this browser? Save them first.")) return;
  localStorage.removeItem(KEPT);
  state = null;
  show();
});

addEventListener("keydown", (event) => {
  const screen = state && steps[state.step].screen;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !screen) return;
  const which = { 1: 0, ArrowLeft: 0, 2: 1, ArrowRight: 1 }[event.key];
  if (screen === "part" && event.key === " ") find("go").click();
  else if (isTask({ screen }) && which !== undefined) answer(which);
  else if (isTask({ screen }) && event.key === "Backspace") back();
  else return;
  event.preventDefault();
});

state = recall();
if (state) plan();
show();
