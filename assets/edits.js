// Edits of the open case: strokes, rejected and confirmed concepts, and the way through them.

const VERBS = {
  suppress: "Suppress",
  force: "Force",
  ignore: "Ignore",
  focus: "Focus on",
  erase: "Erase",
  reject: "Reject",
  confirm: "Confirm",
};
const MAX_EDITS = 1000; // of one review, as in csr_core/edits.py
const editTimes = new WeakMap(); // when each edit was made, ISO 8601 in UTC
const OF_EVERY_CONCEPT = ["ignore", "focus"];

/** The edit a stroke makes, or null if it erases where nothing is marked. */
function strokeEdit(kind, cells) {
  const { entry, concept } = session;
  if (OF_EVERY_CONCEPT.includes(kind)) return { kind, cells };
  const edit = { kind, concept: entry.concepts[concept], cells };
  if (kind !== "erase") return edit;
  const { marks, focus } = visible(entry.steps[entry.position].evidence);
  const indices = cells.map(([row, column]) => row * entry.grid[1] + column);
  const own = indices.some((cell) => [SUPPRESSED, FORCED].includes(marks[concept][cell]));
  if (own) return edit;
  const shared = indices.some((cell) => focus[cell] || marks[concept][cell] === IGNORED);
  return shared ? { kind, concept: null, cells } : null;
}

function previewStroke(kind, cells) {
  const { entry } = session;
  if (!entry || mustCallFirst()) return;
  const { evidence } = entry.steps[entry.position];
  const edit = strokeEdit(kind, cells);
  paintMarks(edit ? withEdit(evidence, edit, entry.concepts, entry.grid[1]) : evidence);
}

function finishStroke(kind, cells) {
  const { entry, concept } = session;
  if (!entry || mustCallFirst()) return;
  if (kind === "inspect") return inspect(cells[0]);
  const current = entry.steps[entry.position];
  const edit = strokeEdit(kind, cells);
  if (!edit) {
    paintMarks(current.evidence);
    const name = plain(entry.concepts[concept]);
    return toast(
      `There is no mark of ${name} to erase here; choose the concept whose mark it is.`,
      "note"
    );
  }
  commit([...current.edits, edit], current.calls, kind, labelOf(edit));
}

function labelOf({ kind, concept, cells }) {
  if (!cells) return `${VERBS[kind]} ${plain(concept)}`;
  const what = concept ? plain(concept) + ", " : kind === "erase" ? "all marks, " : "";
  return `${VERBS[kind]} ${what}${plural(cells.length, "patch", "patches")}`;
}

function toggleCall(index, kind) {
  const { entry } = session;
  const current = entry.steps[entry.position];
  const name = entry.concepts[index];
  const withdrawn = current.calls[index] === kind;
  const others = current.edits.filter(
    (edit) => edit.concept !== name || (edit.kind !== "reject" && edit.kind !== "confirm")
  );
  const label = withdrawn ? `Withdraw ${kind} of ${plain(name)}` : labelOf({ kind, concept: name });
  const edits = withdrawn ? others : [...others, { kind, concept: name }];
  commit(edits, current.calls.with(index, withdrawn ? null : kind), kind, label);
}

function commit(edits, calls, kind, label) {
  const { entry } = session;
  if (edits.length > MAX_EDITS) {
    paintMarks(entry.steps[entry.position].evidence);
    return toast(`A review holds ${MAX_EDITS} edits; undo some, or reset and start again.`);
  }
  const now = new Date().toISOString();
  for (const edit of edits) if (!editTimes.has(edit)) editTimes.set(edit, now);
  appendStep(entry, edits, calls, kind, label);
  rememberCase(entry);
  show();
}

/** Add a step after the current one; what was undone is gone with that. */
function appendStep(entry, edits, calls, kind, label) {
  const current = entry.steps[entry.position];
  const { length } = current.edits;
  const extended = edits[length - 1] === current.edits[length - 1];
  const evidence = edits
    .slice(extended ? length : 0)
    .reduce(
      (before, edit) => withEdit(before, edit, entry.concepts, entry.grid[1]),
      (extended ? current : entry.steps[0]).evidence
    );
  const step = { edits, kind, label, evidence, calls, answer: null };
  entry.steps = [...entry.steps.slice(0, entry.position + 1), step];
  entry.position += 1;
}

function goTo(position) {
  const { entry } = session;
  if (
    !entry ||
    mustCallFirst() ||
    position < 0 ||
    position >= entry.steps.length ||
    position === entry.position
  )
    return;
  entry.position = position;
  rememberCase(entry);
  show();
}
