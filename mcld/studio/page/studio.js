// The page's beginning: the session, then one panel after the other.

import { setUpDress } from "./dress.js";
import { keepPage } from "./drop.js";
import { setUpFigure } from "./figure.js";
import { setUpHistory } from "./history.js";
import { say, setUpNotice } from "./notice.js";
import { setUpPainting } from "./painting.js";
import { setUpPerson } from "./person.js";
import { setUpPicker } from "./picker.js";
import { setUpPose } from "./pose.js";
import { setUpPreview } from "./preview.js";
import { setUpResult } from "./result.js";
import { load, resume } from "./session.js";
import { setUpSettings } from "./settings.js";

const PANELS = [
  setUpNotice, setUpPicker, setUpPerson, setUpFigure, setUpPose, setUpDress, setUpPainting, setUpPreview,
  setUpSettings, setUpResult, setUpHistory,
];

keepPage();
try {
  const hasGone = await load();
  for (const setUp of PANELS) setUp();
  resume();
  if (hasGone) say("The earlier session has gone; this is a new one.");
} catch (error) {
  say(error.message);
}
