// The review session: which case is open, what was done to it, and what the server says about it.
// A step of the history holds the whole edit list up to it, and its answer once that has arrived;
// whatever is asked or shown is a step, so late and lost answers can never mix.

const MAX_UPLOAD_BYTES = 64 * 2 ** 20;
const MAX_KEPT_CASES = 24;
const VERBS = {
  suppress: "Suppress",
  force: "Force",
  erase: "Erase",
  reject: "Reject",
  confirm: "Confirm",
};

const ref = (name) => element.querySelector(`[data-ref="${name}"]`);
const studio = ref("studio");
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const toast = makeToasts(ref);

const session = {
  sources: [],
  entries: new Map(), // opened cases by source, marks included
  entry: null,
  opening: null,
  concept: 0,
  diagnosis: 0,
  hovered: null,
  inspected: null,
  brush: 0,
  sequence: 0,
  exemplars: new Map(),
};

const canvas = makePatchCanvas(ref, {
  hover: showReading,
  stroke: finishStroke,
  preview: previewStroke,
});
const exemplarView = makeExemplarView(ref);
const panel = makePanel(ref, {
  diagnosis(index) {
    session.diagnosis = index;
    repaint();
  },
  concept: chooseConcept,
  call: toggleCall,
  step: goTo,
});

// ---- showing ------------------------------------------------------------------------------

/** Show the current step, asking for its answer if it has none yet. */
async function show() {
  const { entry } = session;
  const step = entry.steps[entry.position];
  const sequence = ++session.sequence;
  paintMarks(step.marks);
  panel.updateChips({ entry, diagnosis: session.diagnosis });
  if (!step.answer) await ask(entry, step);
  if (session.sequence === sequence && step.answer) paintInFrame(sequence);
  fillHistory(entry);
}

function paintInFrame(sequence) {
  requestAnimationFrame(() => {
    if (session.sequence !== sequence) return;
    repaint();
    studio.dataset.painted = sequence;
  });
}

function repaint() {
  const { entry, concept, diagnosis } = session;
  const step = entry.steps[entry.position];
  entry.shown = step.answer ?? entry.shown;
  panel.update({ entry, step, answer: entry.shown, concept, diagnosis });
  canvas.paintHeat(entry.shown.maps[concept], entry.scales[concept]);
  paintMarks(step.marks);
  showExemplar();
  showReading(session.hovered);
  markEdited(entry);
}

function paintMarks(marks) {
  const chosen = marks[session.concept];
  canvas.paintMarks(
    chosen,
    marks.filter((other) => other !== chosen)
  );
}

function showReading(cell) {
  session.hovered = cell;
  const { entry, concept } = session;
  ref("reading").hidden = !cell || !entry;
  if (!cell || !entry) return;
  const index = cell[0] * entry.grid[1] + cell[1];
  const before = entry.base.maps[concept][index];
  const now = entry.shown.maps[concept][index];
  ref("reading").replaceChildren(
    `${plain(entry.concepts[concept])} · row ${cell[0]}, column ${cell[1]} · similarity `,
    changed(before, now) ? figure(before) + " → " : "",
    make("b", { text: figure(now) })
  );
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

// ---- edits --------------------------------------------------------------------------------

function applyEdit(marks, edit, concepts, columns) {
  const concept = concepts.indexOf(edit.concept);
  const edited = Uint8Array.from(marks[concept]);
  const value = {
    suppress: SUPPRESSED,
    reject: SUPPRESSED,
    force: FORCED,
    confirm: FORCED,
    erase: UNMARKED,
  }[edit.kind];
  if (edit.cells) for (const [row, column] of edit.cells) edited[row * columns + column] = value;
  else edited.fill(value);
  return marks.with(concept, edited);
}

function previewStroke(kind, cells) {
  const { entry, concept } = session;
  if (!entry) return;
  const edit = { kind, concept: entry.concepts[concept], cells };
  paintMarks(applyEdit(entry.steps[entry.position].marks, edit, entry.concepts, entry.grid[1]));
}

function finishStroke(kind, cells) {
  const { entry, concept } = session;
  if (!entry) return;
  if (kind === "inspect") return inspect(cells[0]);
  const current = entry.steps[entry.position];
  const name = entry.concepts[concept];
  if (
    kind === "erase" &&
    !cells.some(([row, column]) => current.marks[concept][row * entry.grid[1] + column])
  ) {
    paintMarks(current.marks);
    return toast(
      `There is no mark of ${plain(name)} to erase here; choose the concept whose mark it is.`,
      "note"
    );
  }
  const label = `${VERBS[kind]} ${plain(name)}, ${plural(cells.length, "patch", "patches")}`;
  commit([...current.edits, { kind, concept: name, cells }], current.calls, kind, label);
}

function toggleCall(index, kind) {
  const { entry } = session;
  const current = entry.steps[entry.position];
  const name = entry.concepts[index];
  const withdrawn = current.calls[index] === kind;
  const others = current.edits.filter(
    (edit) => edit.concept !== name || (edit.kind !== "reject" && edit.kind !== "confirm")
  );
  const label = withdrawn ? `Withdraw ${kind} of ${plain(name)}` : `${VERBS[kind]} ${plain(name)}`;
  const edits = withdrawn ? others : [...others, { kind, concept: name }];
  commit(edits, current.calls.with(index, withdrawn ? null : kind), kind, label);
}

function commit(edits, calls, kind, label) {
  const { entry } = session;
  const unmarked = entry.steps[0].marks;
  const current = entry.steps[entry.position];
  const appended =
    edits.length === current.edits.length + 1 && edits.at(-2) === current.edits.at(-1);
  const marks = (appended ? edits.slice(-1) : edits).reduce(
    (all, edit) => applyEdit(all, edit, entry.concepts, entry.grid[1]),
    appended ? current.marks : unmarked
  );
  const step = { edits, kind, label, marks, calls, answer: null };
  entry.steps = [...entry.steps.slice(0, entry.position + 1), step];
  entry.position += 1;
  show();
}

function goTo(position) {
  const { entry } = session;
  if (!entry || position < 0 || position >= entry.steps.length || position === entry.position)
    return;
  entry.position = position;
  show();
}

// ---- choosing -----------------------------------------------------------------------------

function chooseConcept(index) {
  if (!session.entry || index >= session.entry.concepts.length) return;
  session.concept = index;
  session.inspected = null;
  canvas.inspect(null);
  panel.revealConcept(index);
  repaint();
}

function inspect(cell) {
  session.inspected = String(cell) === String(session.inspected) ? null : cell;
  canvas.inspect(session.inspected);
  showExemplar();
}

function chooseTool(name) {
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

// ---- cases --------------------------------------------------------------------------------

function buildStrip() {
  const thumbnails = session.sources.map((source) => {
    const button = make("button", {
      type: "button",
      title: source.title,
      "aria-label": source.title,
    });
    button.style.backgroundImage = `url("${source.thumbnail}")`;
    button.addEventListener("click", () => open(source));
    button.dataset.edited = source.button?.dataset.edited ?? false;
    source.button = button;
    return button;
  });
  ref("strip").replaceChildren(...thumbnails);
}

function markEdited(entry) {
  entry.source.button.dataset.edited = entry.position > 0;
}

async function open(source) {
  if (session.opening === source) return;
  session.opening = source;
  const entry = session.entries.get(source) ?? (await openOnServer(source));
  if (session.opening !== source) return;
  session.opening = null;
  if (entry) await enter(entry);
  studio.dataset.state = session.entry ? "ready" : "empty";
}

async function openOnServer(source) {
  studio.dataset.state = "opening";
  const known = session.entry?.model.name === ref("model").value;
  ref("waitingText").textContent = known ? "Reading the image …" : "Loading the model …";
  const opened = await persist(
    () => requestOpening(source),
    () => session.opening === source
  );
  if (opened?.error) toast(opened.error);
  if (!opened || opened.error || session.opening !== source) return null;
  const entry = makeEntry(source, opened);
  if (session.entries.size >= MAX_KEPT_CASES)
    session.entries.delete(session.entries.keys().next().value);
  session.entries.set(source, entry);
  return entry;
}

async function enter(entry) {
  await canvas.open(entry.picture, ...entry.grid, entry.title);
  const fresh = session.entry?.model.name !== entry.model.name;
  session.entry = entry;
  session.diagnosis = entry.order[0];
  session.inspected = null;
  canvas.inspect(null);
  if (!session.sources.includes(entry.source)) {
    entry.source.thumbnail = entry.picture;
    session.sources.unshift(entry.source);
    buildStrip();
  }
  for (const source of session.sources)
    source.button.toggleAttribute("aria-current", source === entry.source);
  entry.source.button.scrollIntoView({ block: "nearest" });
  panel.build(entry);
  showCard(ref, entry.model);
  const { similarities } = entry.base.verdict;
  chooseConcept(fresh ? similarities.indexOf(Math.max(...similarities)) : session.concept);
  await show();
}

function openFile(file) {
  if (!file) return;
  if (file.size > MAX_UPLOAD_BYTES) {
    const megabytes = Math.round(file.size / 2 ** 20);
    return toast(
      `${file.name} has ${megabytes} MB; at most ${MAX_UPLOAD_BYTES / 2 ** 20} MB can be opened.`
    );
  }
  open({ file, title: file.name || "pasted image" });
}

function openNeighbour(step) {
  if (!session.entry) return;
  const place = session.sources.indexOf(session.entry.source) + step;
  if (session.sources[place]) open(session.sources[place]);
}

function changeModel() {
  const marked = [...session.entries.values()].filter((entry) => entry.position > 0).length;
  session.entries.clear();
  for (const source of session.sources) delete source.button.dataset.edited;
  if (marked)
    toast(
      `The model was changed, so the edits of ${plural(marked, "case", "cases")} were cleared.`,
      "note"
    );
  session.opening = null;
  open(session.entry?.source ?? session.sources[0]);
}

function changeSemantics() {
  for (const entry of session.entries.values())
    for (const step of entry.steps.slice(1)) step.answer = null;
  if (session.entry) show();
}
