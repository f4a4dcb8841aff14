// Weights, and how they paint. What is left empty is as the weights were made for.

import { find, make } from "./element.js";
import { choices, choose, on, session } from "./session.js";

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
  for (const name of ["steps", "guidance"]) {
    find(name).addEventListener("input", ({ target }) => {
      if (target.validity.valid) choose({ [name]: target.value === "" ? null : target.valueAsNumber });
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
  on("choices", showSettings);
  showSettings();
}

function showSettings() {
  const { steps, guidance, scheduler, keep, strength } = choices;
  const weights = session.studio.weights.find((one) => one.id === choices.weights);
  find("weights-now").textContent = weights.label;
  for (const input of document.querySelectorAll("input[name=weights]")) input.checked = input.value === weights.id;
  for (const input of document.querySelectorAll("input[name=keep]")) input.checked = input.value === (keep ?? "");
  for (const [name, value] of [["steps", steps], ["guidance", guidance]]) {
    if (document.activeElement !== find(name)) find(name).value = value ?? "";
  }
  find("scheduler").value = scheduler ?? "";
  find("fit-body").checked = choices.fit_body;
  find("set-strength").checked = strength !== null;
  find("strength").disabled = strength === null;
  if (strength !== null) find("strength").value = strength;
  find("strength-value").textContent = strength === null ? "As the weights have it" : strength.toFixed(2);
}
