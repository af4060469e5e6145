// The right side: what was said of the open case, concept by concept, and the tools' state.

const PRESENCES = [
  ["yes", "Yes", "Y"],
  ["no", "No", "N"],
  ["unsure", "?", "U"],
];
const PRESENCE_WORDS = { yes: "yes", no: "no", unsure: "can't tell" };
const STATUS_SIGNS = { new: "○", open: "◐", done: "✓", skipped: "»" };
const STATUS_WORDS = { new: "new", open: "open", done: "done", skipped: "skipped" };
const TOOL_NAMES = ["patch", "brush", "polygon", "box", "eraser"];

let conceptRows = [];
let diagnosisButtons = [];
let confidenceButtons = [];

/** Lay out the rows of a project's words. */
function buildPanel() {
  const { concepts, classes } = session.project;
  conceptRows = concepts.map(buildConcept);
  ref("concepts").replaceChildren(...conceptRows.map(({ row }) => row));
  diagnosisButtons = classes.map((name, index) => {
    const digit = index < 9 ? make("kbd", { text: "⇧" + (index + 1) }) : "";
    const button = make("button", { type: "button" }, make("span", { text: pretty(name) }), digit);
    button.addEventListener("click", () => setDiagnosis(index));
    return button;
  });
  ref("diagnosis").replaceChildren(...diagnosisButtons);
  confidenceButtons = [1, 2, 3, 4, 5].map((value) => {
    const button = make("button", { type: "button", text: value });
    button.addEventListener("click", () => setConfidence(value));
    return button;
  });
  ref("confidence").replaceChildren(...confidenceButtons);
}

function buildConcept(name, index) {
  const swatch = make("i", { className: "swatch" });
  swatch.style.setProperty("--concept", drawingColour(index));
  const words = make("span", { className: "name", text: pretty(name) });
  const size = make("small");
  const hint = make("small", { className: "suggested" });
  const choose = make(
    "button",
    { type: "button", className: "choose", title: pretty(name) },
    make("kbd", { text: index < 9 ? index + 1 : "" }),
    swatch,
    make("span", { className: "words" }, words, make("span", {}, size, hint))
  );
  choose.addEventListener("click", () => chooseConcept(index));
  const buttons = PRESENCES.map(([presence, label, key]) => {
    const button = make("button", { type: "button", text: label });
    button.title = `${pretty(name)}: ${PRESENCE_WORDS[presence]} (${key})`;
    button.setAttribute("aria-label", `${pretty(name)}: ${PRESENCE_WORDS[presence]}`);
    button.addEventListener("click", () => {
      chooseConcept(index);
      setPresence(name, presence);
    });
    return button;
  });
  const answers = make("span", { className: "answers" }, ...buttons);
  return { row: make("div", { className: "mark-row" }, choose, answers), choose, buttons, size, hint };
}

const share = ({ mask, boxes }) => {
  const parts = [];
  if (mask) {
    const inside = mask.counts.reduce((sum, run, index) => (index % 2 ? sum + run : sum), 0);
    parts.push(((100 * inside) / (mask.size[0] * mask.size[1])).toFixed(1) + " %");
  }
  if (boxes.length) parts.push(plural(boxes.length, "box", "boxes"));
  return parts.join(", ");
};

const press = (button, pressed) => button.setAttribute("aria-pressed", Boolean(pressed));

/** Show the open case; nothing here asks the server. */
function showEntry() {
  const { entry, project } = session;
  const { annotation } = entry;
  studio.toggleAttribute("data-consensus", session.consensus);
  ref("caseTitle").textContent = entry.image_id;
  ref("caseStatus").textContent =
    (session.consensus ? "consensus · " : "") + statusText(entry) + (annotation.flagged ? " ⚑" : "");
  project.concepts.forEach((name, index) => showConcept(conceptRows[index], markOf(name), index));
  project.classes.forEach((name, index) =>
    press(diagnosisButtons[index], annotation.diagnosis === name)
  );
  confidenceButtons.forEach((button, index) => press(button, annotation.confidence === index + 1));
  if (document.activeElement !== ref("comment")) ref("comment").value = annotation.comment;
  press(ref("skip"), annotation.status === "skipped");
  press(ref("flag"), annotation.flagged);
  press(ref("done"), annotation.status === "done");
  assist.showHints(conceptRows);
}

const statusOf = ({ begun, annotation }) => (begun ? annotation.status : "new");
const statusText = (entry) => `${STATUS_SIGNS[statusOf(entry)]} ${STATUS_WORDS[statusOf(entry)]}`;

function showConcept({ row, choose, buttons, size }, mark, index) {
  const chosen = index === session.concept;
  row.toggleAttribute("data-chosen", chosen);
  row.toggleAttribute("data-seen", isSeen(mark));
  if (chosen) choose.setAttribute("aria-current", "true");
  else choose.removeAttribute("aria-current");
  PRESENCES.forEach(([presence], place) => press(buttons[place], mark.presence === presence));
  size.textContent = share(mark);
}

/** What the surface says of itself. */
function showTools(state) {
  for (const button of ref("tools").querySelectorAll("[data-tool]"))
    press(button, button.dataset.tool === state.tool);
  ref("sizeValue").textContent = state.size ? Math.round(state.size) : "–";
  ref("undo").disabled = !state.undo;
  ref("redo").disabled = !state.redo;
  ref("zoom").textContent = Math.round(100 * state.zoom) + " %";
}

/** Keep the comment once it was written; while it is, it is not worth a change a letter. */
function leaveComment() {
  const { entry } = session;
  const written = ref("comment").value.trim();
  if (entry && written !== entry.annotation.comment) change("comment", written);
}

function showSaving({ waiting, reachable, problem, refused }) {
  const line = make("b");
  const count = plural(waiting, "change", "changes");
  if (!reachable) line.textContent = `Server unreachable – ${count} kept here`;
  else if (problem) line.textContent = `${problem} ${count} kept here`;
  else if (waiting) line.textContent = `Saving ${count} …`;
  else line.textContent = "✓ All saved";
  ref("saved").replaceChildren(line);
  if (refused.length)
    ref("saved").append(
      `${plural(refused.length, "change was", "changes were")} refused: ${refused[0].reason}`
    );
  ref("retryRefused").hidden = ref("discardRefused").hidden = !refused.length;
  studio.dataset.saving = !reachable || problem ? "away" : waiting ? "waiting" : "saved";
}
