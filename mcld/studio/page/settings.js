// Weights, and how they paint. What is left empty is as the weights were made for.

import { find, make, showText } from "./element.js";
import { choices, choose, on, session } from "./session.js";

const NUMBERS = ["steps", "guidance"];

export function setUpSettings() {
  const { weights, schedulers, reports, version } = session.studio;
  find("open-settings").addEventListener("click", () => find("settings").showModal());
  find("close-settings").addEventListener("click", () => find("settings").close());
  find("weights").append(...weights.map(({ id, label, note }) =>
    make(
      "label", { class: "check" },
      make("input", { type: "radio", name: "weights", value: id, onchange: () => choose({ weights: id }) }),
      make("span", {}, label, note ? make("span", { class: "quiet" }, note) : null),
    )));
  find("scheduler").append(new Option("As the weights were made for", ""), ...schedulers.map((name) => new Option(name, name)));
  find("scheduler").addEventListener("change", ({ target }) => choose({ scheduler: target.value || null }));
  for (const name of NUMBERS) {
    find(name).addEventListener("input", ({ target }) => {
      if (target.validity.valid) choose({ [name]: target.value === "" ? null : target.valueAsNumber });
      showMistake();
    });
  }
  find("keep").addEventListener("change", ({ target }) => choose({ keep: target.value || null }));
  find("fit-body").addEventListener("change", ({ target }) => choose({ fit_body: target.checked }));
  for (const id of ["set-strength", "strength"]) {
    find(id).addEventListener("input", () => {
      choose({ strength: find("set-strength").checked ? find("strength").valueAsNumber : null });
    });
  }
  find("reports").hidden = !reports.length;
  find("report-links").append(...reports.map(({ label, url }) =>
    make("li", {}, make("a", { href: url, target: "_blank" }, label))));
  find("version").textContent = `mcld ${version}. Every picture carries the note: ${session.studio.notice}.`;
  on("choices", (changed) => {
    showSettings();
    showNumbers(changed);
  });
  on("shown", () => showNumbers(NUMBERS)); // what was brought back is what holds
  showSettings();
  showNumbers(NUMBERS);
}

/** Why the settings cannot be used, naming the field; null if they can. */
export function findMistake() {
  const wrong = NUMBERS.map(find).find((input) => !input.validity.valid);
  if (!wrong) return null;
  const { min, max, step, dataset } = wrong;
  return `${dataset.label}: give a ${step ? "number" : "whole number"} from ${min} to ${max}, or leave it empty.`;
}

function showMistake() {
  for (const input of NUMBERS.map(find)) input.setAttribute("aria-invalid", String(!input.validity.valid));
  showText(find("settings-error"), findMistake() ?? "");
}

/** Write numbers into their fields; one that is just being typed stays as it is. */
function showNumbers(names) {
  for (const name of NUMBERS.filter((one) => names.includes(one))) {
    if (document.activeElement !== find(name)) find(name).value = choices[name] ?? "";
  }
  showMistake();
}

function showSettings() {
  const { scheduler, keep, strength } = choices;
  const weights = session.studio.weights.find((one) => one.id === choices.weights);
  find("weights-now").textContent = weights.label;
  for (const input of document.querySelectorAll("input[name=weights]")) input.checked = input.value === weights.id;
  for (const input of document.querySelectorAll("input[name=keep]")) input.checked = input.value === (keep ?? "");
  find("scheduler").value = scheduler ?? "";
  find("fit-body").checked = choices.fit_body;
  find("set-strength").checked = strength !== null;
  find("strength").disabled = strength === null;
  if (strength !== null) find("strength").value = strength;
  find("strength-value").textContent = strength === null ? "As the weights have it" : strength.toFixed(2);
}
