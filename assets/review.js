// The review session: which case is open, what was done to it, and what the server says about it.
// A step of the history holds the whole edit list up to it, and its answer once that has arrived;
// whatever is asked or shown is a step, so late and lost answers can never mix.

const ref = (name) => element.querySelector(`[data-ref="${name}"]`);
const studio = ref("studio");
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const toast = makeToasts(ref);

const session = {
  sources: [],
  entries: new Map(), // opened cases by source, marks included
  entry: null,
  opening: null,
  returning: null, // where a reloaded page was, until its case is open again
  concept: 0,
  diagnosis: 0,
  hovered: null,
  brushed: [],
  blind: false,
  tool: "inspect",
  inspected: null,
  brush: 0,
  boxes: false,
  overlay: "heat",
  sequence: 0,
  exemplars: new Map(),
};

const canvas = makePatchCanvas(ref, {
  hover: showReading,
  stroke: finishStroke,
  preview: previewStroke,
  abandon: () => paintMarks(session.entry.steps[session.entry.position].evidence),
});
const exemplarView = makeExemplarView(ref);
const panel = makePanel(ref, {
  diagnosis(index) {
    session.diagnosis = index;
    repaint();
  },
  concept: chooseConcept,
  call: toggleCall,
});
const history = makeHistory(ref, goTo);
const meeting = makeMeeting(ref, {
  call: makeCall,
  agree(index) {
    meeting.agree(session.entry, index);
    repaint();
  },
});

/** Show the current step, asking for its answer if it has none yet. */
async function show() {
  const { entry } = session;
  const step = entry.steps[entry.position];
  const sequence = ++session.sequence;
  suggestion.close();
  canvas.point(null);
  paintMarks(step.evidence);
  history.update({ entry, diagnosis: session.diagnosis });
  if (!step.answer) await ask(entry, step);
  if (session.sequence === sequence && step.answer) paintInFrame(sequence);
  fillHistory(entry);
}

function paintInFrame(sequence) {
  requestAnimationFrame(() => {
    if (session.sequence !== sequence) return;
    repaint();
    studio.dataset.painted = sequence;
    advise(session.entry, session.entry.steps[session.entry.position]);
  });
}

function repaint() {
  const { entry, concept, diagnosis } = session;
  const step = entry.steps[entry.position];
  entry.shown = step.answer ?? entry.shown;
  const hidden = mustCallFirst();
  const paper = comparing() ? reasonNow(entry, "paper").probabilities : null;
  studio.toggleAttribute("data-hidden", hidden);
  ref("call").hidden = !hidden;
  panel.update({ entry, step, answer: entry.shown, concept, diagnosis, hidden, paper });
  meeting.update({ entry, answer: entry.shown });
  history.update({ entry, diagnosis });
  canvas.overlay.paint(entry.shown.maps[concept]);
  paintMarks(step.evidence);
  showExemplar();
  showThreshold();
  showReading(session.hovered, session.brushed);
  worklist.update(entry, meeting.recordOf(entry));
  rememberPage();
}

function paintMarks(evidence) {
  canvas.paintMarks(visible(evidence), session.concept);
}

/** Evidence with the marks that act on the maps. */
function visible(evidence) {
  const { reasoning } = session.entry;
  const marks = evidence.marks.map((own) =>
    onMap(own, evidence.focus, reasoning, shownSemantics())
  );
  return { ...evidence, marks };
}

/** Show the value under the cursor, and what the tool would do to the patches there. */
function showReading(cell, cells = [cell]) {
  Object.assign(session, { hovered: cell, brushed: cells });
  const { entry, concept } = session;
  ref("reading").hidden = !cell || !entry || mustCallFirst();
  if (ref("reading").hidden) return;
  const index = cell[0] * entry.grid[1] + cell[1];
  const before = entry.base.maps[concept][index];
  const now = entry.shown.maps[concept][index];
  ref("reading").replaceChildren(
    `${plain(entry.concepts[concept])} · row ${cell[0]}, column ${cell[1]} · similarity `,
    changed(before, now) ? figure(before) + " → " : "",
    make("b", { text: figure(now) }),
    ...whatIf(cells)
  );
}

/** What the probability of the chosen diagnosis would be after the tool had been used here. */
function whatIf(cells) {
  const { entry, diagnosis } = session;
  const kind = session.tool === "inspect" ? "suppress" : session.tool;
  const edit = strokeEdit(kind, cells);
  if (!edit) return [];
  const { evidence } = entry.steps[entry.position];
  const semantics = shownSemantics();
  const now = reasonNow(entry, semantics);
  const edited = withEdit(evidence, edit, entry.concepts, entry.grid[1]);
  const then = reasonHere(entry.reasoning, edited, semantics, now);
  return [
    ` · ${kind} here: ${plain(entry.classes[diagnosis])} ` +
      `${figure(now.probabilities[diagnosis])} → `,
    make("b", { text: figure(then.probabilities[diagnosis]) }),
  ];
}

/** What follows from the edits made so far, reasoned here and kept with their step. */
function reasonNow(entry, semantics) {
  const step = entry.steps[entry.position];
  step.reasoned ??= {};
  step.reasoned[semantics] ??= reasonHere(entry.reasoning, step.evidence, semantics);
  return step.reasoned[semantics];
}

function showExemplar() {
  const { entry, concept } = session;
  const [rows, columns] = entry.grid;
  const first = concept * rows * columns;
  const likeness = entry.likeness.subarray(first, first + rows * columns);
  const strongest = likeness.indexOf(likeness.reduce((most, value) => Math.max(most, value)));
  const index = session.inspected
    ? session.inspected[0] * columns + session.inspected[1]
    : strongest;
  const patch = {
    cell: [Math.floor(index / columns), index % columns],
    prototype: entry.resembles[first + index],
    similarity: likeness[index],
    count: entry.prototypes,
  };
  exemplarView.show(canvas, patch, findExemplar(entry.model.name, concept, patch.prototype));
}

function findExemplar(model, concept, prototype) {
  const name = [model, concept, prototype].join("/");
  if (!session.exemplars.has(name)) {
    const asked = server.exemplar({ model, concept, prototype });
    session.exemplars.set(name, asked);
    asked.then((found) => (found && !found.error) || session.exemplars.delete(name));
  }
  return session.exemplars.get(name);
}

function chooseConcept(index) {
  if (!session.entry || index >= session.entry.concepts.length) return;
  session.concept = index;
  session.inspected = null;
  canvas.inspect(null);
  canvas.point(null);
  panel.revealConcept(index);
  repaint();
}

function inspect(cell) {
  session.inspected = String(cell) === String(session.inspected) ? null : cell;
  canvas.inspect(session.inspected);
  showExemplar();
}

function chooseOverlay(kind) {
  canvas.overlay.show(kind);
  session.overlay = kind;
  for (const button of ref("overlayKinds").children)
    button.setAttribute("aria-pressed", button.dataset.overlay === kind);
}

function setThreshold(place) {
  canvas.overlay.setThreshold(place);
  showThreshold();
}

function showThreshold() {
  const similarity = ref("threshold").value / 100;
  ref("thresholdValue").textContent = figure(similarity);
  ref("threshold").setAttribute("aria-valuetext", "similarity " + figure(similarity));
}

/** Which semantics the maps and rows show; side by side, they show the calibrated one. */
function shownSemantics() {
  return comparing() ? "calibrated" : ref("semantics").value;
}

function comparing() {
  return ref("semantics").value === "both";
}

/** Whether the model's answer must stay hidden, because the reviewer's own call is not made yet. */
function mustCallFirst() {
  return session.blind && Boolean(session.entry) && !meeting.recordOf(session.entry)?.call;
}

function makeCall(index) {
  if (!mustCallFirst() || index >= session.entry.classes.length) return;
  meeting.call(session.entry, index);
  repaint();
}

function setBlind(blind) {
  session.blind = blind;
  ref("blind").setAttribute("aria-pressed", blind);
  if (session.entry) repaint();
}

function setPresenting(presenting) {
  studio.toggleAttribute("data-presenting", presenting);
  ref("present").setAttribute("aria-pressed", presenting);
  if (presenting) toast("Presenter mode: all keys work; P or Esc leaves it.", "note");
}

function chooseTool(name) {
  session.tool = name;
  canvas.setTool(name);
  for (const button of ref("tools").querySelectorAll("[data-tool]"))
    button.setAttribute("aria-pressed", button.dataset.tool === name);
}

function chooseBrush(place) {
  session.brush = Math.min(Math.max(place, 0), BRUSHES.length - 1);
  canvas.setBrush(BRUSHES[session.brush]);
  ref("brushSize").textContent = BRUSHES[session.brush];
  ref("brush").setAttribute(
    "aria-label",
    `Brush size ${BRUSHES[session.brush]}; press for the next`
  );
}

function chooseBoxes(boxes) {
  session.boxes = boxes;
  canvas.setBoxes(boxes);
  ref("box").setAttribute("aria-pressed", boxes);
}
