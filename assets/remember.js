// What is remembered of a review, and how it comes back: every case with its steps, undone ones
// included, for each model it was read with; and the page with its calls.

const memory = makeMemory(() =>
  toast("This browser can't keep more: save the session before you close or reload the page.")
);

function rememberPage() {
  const { sources, entry, concept, diagnosis, blind } = session;
  const page = {
    time: Date.now(),
    reviewed: sources.filter(({ kept }) => kept).length,
    order: sources.map(({ id }) => id),
    current: entry.source.id,
    model: ref("model").value,
    semantics: ref("semantics").value,
    concept,
    diagnosis,
    blind,
    calls: meeting.records(),
    worklist: worklist.marks(),
  };
  memory.save({ page });
}

const stepName = (source, model, index) => ["step", source.id, model, index].join(" ");

/** Keep what changed of a case: a step is written once, however many there are. */
function rememberCase(entry) {
  const { source, model, steps, position, comment } = entry;
  const changes = {};
  steps.slice(1).forEach((step, index) => {
    if (step.record) return;
    step.record = stepRecord(step, steps[index]);
    changes[stepName(source, model.name, index)] = step.record;
  });
  const records = steps.slice(1).map(({ record }) => record);
  const kept = { shape: shapeOf(entry), position, comment, steps: records };
  source.kept = { ...source.kept, [model.name]: kept };
  memory.save({ ...changes, ["case " + source.id]: withoutSteps(source.kept) });
}

/** What is kept of a case by model, with the number of its steps in place of them. */
function withoutSteps(kept) {
  const brief = ([model, record]) => [model, { ...record, steps: record.steps.length }];
  return Object.fromEntries(Object.entries(kept).map(brief));
}

function withSteps(source, brief, records) {
  const whole = ([model, record]) => {
    const names = Array.from({ length: record.steps }, (_, index) => stepName(source, model, index));
    return [model, { ...record, steps: names.map((name) => records.get(name)) }];
  };
  return Object.fromEntries(Object.entries(brief).map(whole));
}

/** Keep the picture of a case that the server does not ship. */
function rememberPicture({ id, title, file, thumbnail }) {
  if (file) memory.save({ ["picture " + id]: { title, file, thumbnail } });
}

const shapeOf = ({ concepts, grid }) => JSON.stringify([concepts, grid]);

/** A step as what it adds to the one before, so that a long review stays small. */
function stepRecord({ edits, kind, label, calls }, before) {
  const differs = edits.findIndex((edit, index) => edit !== before.edits[index]);
  const shared = differs < 0 ? edits.length : differs;
  const added = edits.slice(shared).map((edit) => ({ edit, time: editTimes.get(edit) }));
  return { shared, added, kind, label, calls };
}

/** Give a case that was opened again the steps it had. */
function revive(entry) {
  const record = entry.source.kept?.[entry.model.name];
  if (!record) return;
  if (record.shape !== shapeOf(entry))
    return toast(`The model has changed; the edits of ${entry.title} don't fit it any more.`);
  entry.comment = record.comment;
  for (const step of record.steps) {
    const { shared, added, kind, label, calls } = step;
    for (const { edit, time } of added) editTimes.set(edit, time);
    const before = entry.steps.at(-1).edits.slice(0, shared);
    appendStep(entry, [...before, ...added.map(({ edit }) => edit)], calls, kind, label);
    entry.steps.at(-1).record = step;
  }
  entry.position = record.position;
}

/** Bring back the review of this tab. @returns the case it was at, or null if there is none. */
function restoreReview(kept) {
  const page = kept.get("page");
  if (!page) return null;
  const known = new Map(session.sources.map((source) => [source.id, source]));
  for (const id of page.order) {
    const picture = kept.get("picture " + id);
    if (picture) known.set(id, { id, ...picture });
    const source = known.get(id);
    const brief = kept.get("case " + id);
    if (source && brief) source.kept = withSteps(source, brief, kept);
  }
  const order = page.order.filter((id) => known.has(id));
  session.sources = [...new Set([...order, ...known.keys()])].map((id) => known.get(id));
  if ([...ref("model").options].some(({ value }) => value === page.model))
    ref("model").value = page.model;
  ref("semantics").value = page.semantics;
  session.concept = page.concept;
  session.returning = { model: page.model, diagnosis: page.diagnosis };
  meeting.restore(page.calls, known);
  worklist.restore(page.worklist, known);
  setBlind(page.blind);
  return known.get(page.current) ?? null;
}

/** In a new tab: offer the review of one that was closed. */
async function offerLeftReview() {
  const left = await memory.leftBehind();
  if (!left) return;
  const time = new Date(left.page.time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  ref("leftText").textContent =
    `A review of ${plural(left.page.reviewed, "case", "cases")}, last changed at ${time}, was left ` +
    "in this browser.";
  ref("left").hidden = false;
  ref("reopenLeft").onclick = () => {
    memory.become(left.tab);
    location.reload();
  };
  ref("forgetLeft").onclick = async () => {
    ref("left").hidden = true;
    await memory.forget(left.tab);
  };
}

async function forgetReview() {
  if (!confirm("Forget the opened images, all edits, comments and calls of this tab?")) return;
  await memory.forget();
  location.reload();
}
