// One line at the top, of what concerns the whole page, and of what goes wrong with no place of its own to say it.

import { StudioError } from "./api.js";
import { find, showText } from "./element.js";
import { on } from "./session.js";

export function say(line) {
  showText(find("notice"), line);
  find("notice").hidden = false;
}

export function setUpNotice() {
  window.addEventListener("unhandledrejection", (event) => {
    if (!(event.reason instanceof StudioError)) return; // a bug of ours, for the console
    event.preventDefault();
    say(event.reason.message);
  });
  on("choices", () => (find("notice").hidden = true));
  on("ended", () => say("The session has ended, and its files are gone; this is a new one."));
}
