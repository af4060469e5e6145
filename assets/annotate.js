// The annotate session: who reads, which case is open, and what was said of it. What is shown is
// what the server has with what still waits to be saved on top; every action is a change of its own.

const ref = (name) => element.querySelector(`[data-ref="${name}"]`);
const studio = ref("studio");
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const toast = makeToasts(ref);

const session = {
  projects: [],
  account: null, // the name under which the server let the reader in, if it asks for one
  reader: "",
  project: null,
  consensus: false, // whether the readings are being settled, instead of one written
  entry: null,
  concept: 0,
  drawn: new Set(), // concepts that are there only because something was drawn
  sequence: 0,
};
const PICTURES_KEPT = 6;
const pictures = new Map(); // by case, as promises; the latest last

const surface = createSurface(ref("surface"), {
  onChange: drew,
  onMessage: (sentence) => toast(sentence, "note"),
  onState: showTools,
});
const outbox = makeOutbox(
  ({ reader, consensus, project, case: id, image_id, key, change }) =>
    server.annotate_save({ reader, consensus, project, case: id, image_id, key, change }),
  { state: showSaving, saved: () => queue.refreshSoon() }
);

/** What every request says of who asks, and about what. */
function asking() {
  return { reader: session.reader, project: session.project.name, consensus: session.consensus };
}

/** Ask until the server answers; while it is away, keep trying only what is still wanted. */
async function persist(request, wanted = () => true) {
  for (let pause = 500; wanted(); pause = Math.min(2 * pause, 4000)) {
    const answer = await request();
    ref("banner").hidden = Boolean(answer);
    if (answer) return answer;
    await sleep(pause);
  }
  return null;
}

/** An annotation with one change more, as `applied` in `csr_core/annotation/records.py`. */
function withChange(annotation, { field, concept, value }) {
  if (field !== "concept") return { ...annotation, [field]: value };
  const concepts = { ...annotation.concepts, [concept]: value };
  if (!value.presence && !value.mask && !value.boxes.length) delete concepts[concept];
  return { ...annotation, concepts };
}

const NOTHING = { presence: null, mask: null, boxes: [] };
const markOf = (concept) => session.entry.annotation.concepts[concept] ?? NOTHING;
const isSeen = ({ mask, boxes }) => Boolean(mask) || boxes.length > 0;
const chosenConcept = () => session.project.concepts[session.concept];

function pictureOf(id) {
  if (!pictures.has(id)) {
    const asked = persist(() => server.annotate_picture({ ...asking(), case: id }));
    pictures.set(id, asked);
    asked.then(({ error }) => error && pictures.delete(id));
    if (pictures.size > PICTURES_KEPT) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(id);
}

/**
 * Open a case.
 *
 * @param where {case}, or {from, step} in the worklist as it is filtered and ordered.
 * @returns whether there was one.
 */
async function openCase(where) {
  const sequence = ++session.sequence;
  const wanted = () => session.sequence === sequence;
  if (session.entry) surface.choose(chosenConcept()); // finishes what is being drawn
  studio.dataset.state = "opening"; // from here on nothing is marked in the case that is left
  const entry = await findCase(where, wanted);
  if (!wanted()) return false;
  if (!entry) {
    if (session.entry) studio.dataset.state = "open";
    heldKeys.length = 0;
    return false;
  }
  const shown = await pictureOf(entry.case);
  if (!wanted()) return false;
  if (shown.error) toast(shown.error);
  ref("comment").blur(); // what is in it belongs to the case that is left
  session.entry = entry;
  session.drawn.clear();
  assist.forget();
  const { height, width } = entry;
  const { concepts } = session.project;
  await surface.open({
    picture: shown.picture ?? NO_PICTURE,
    height,
    width,
    grid: gridOf(),
    concepts,
    marks: entry.annotation.concepts,
  });
  chooseConcept(Math.min(session.concept, concepts.length - 1));
  studio.dataset.state = "open";
  rememberPlace();
  showEntry();
  queue.follow(entry);
  settle.follow(entry);
  studio.dataset.opened = entry.case;
  prepareNext(entry, wanted);
  pressHeldKeys();
  return true;
}

/** Stay where one is after all. */
function stay() {
  session.sequence++;
  if (session.entry) studio.dataset.state = "open";
  heldKeys.length = 0;
}

const NO_PICTURE =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='64' height='64'/%3E";

/** The case with its annotation, or null; what waits here is read first, so that none is missed. */
async function findCase(where, wanted) {
  const waiting = await outbox.waiting();
  const request = { ...asking(), ...queue.view(), ...where };
  const found = await persist(() => server.annotate_open(request), wanted);
  if (found?.error) toast(found.error);
  if (!found?.case) return null;
  const mine = waiting.filter(
    (change) =>
      change.case === found.case &&
      change.reader === request.reader &&
      change.consensus === request.consensus
  );
  const annotation = mine.reduce((before, { change }) => withChange(before, change), found.annotation);
  const begun = found.begun || mine.length > 0;
  return { ...found, annotation, begun, consensus: request.consensus };
}

/** Fetch the picture of the next case, so that it is there when it is wanted. */
async function prepareNext(entry, wanted) {
  await sleep(150);
  if (!wanted()) return;
  const request = { ...asking(), ...queue.view(), from: entry.case, step: 1 };
  const next = await server.annotate_open(request);
  if (next?.case && wanted()) pictureOf(next.case);
}

async function openNeighbour(step) {
  const { entry } = session;
  if (!entry) return;
  const found = await openCase({ from: entry.case, step });
  if (!found && session.entry === entry)
    toast(step > 0 ? "This was the last case of the list." : "This is the first case.", "note");
}

/** Take a step: show it at once, and keep it. */
function change(field, value, { concept = null, origin = "reader" } = {}) {
  const { entry, reader, project } = session;
  if (!entry) return;
  const step = { field, value, concept, origin };
  entry.annotation = withChange(entry.annotation, step);
  entry.begun = true;
  outbox.add({
    reader,
    consensus: entry.consensus,
    project: project.name,
    case: entry.case,
    image_id: entry.image_id,
    change: step,
  });
  showEntry();
  queue.note(entry);
}

/** The surface tells what was drawn; that a concept is seen says that it is there. */
function drew({ concept, mark, origin, stroke }) {
  const before = markOf(concept);
  let { presence } = before;
  if (isSeen(mark) && presence !== "yes" && presence !== "unsure") {
    if (presence === null) session.drawn.add(concept);
    presence = "yes";
  } else if (!isSeen(mark) && session.drawn.has(concept)) {
    session.drawn.delete(concept);
    presence = null;
  }
  change("concept", { presence, mask: mark.mask, boxes: mark.boxes }, {
    concept,
    origin: assist.originOf(origin),
  });
  assist.after(concept, stroke);
}

function setPresence(concept, presence, origin = "reader") {
  const mark = markOf(concept);
  session.drawn.delete(concept);
  const next = mark.presence === presence ? null : presence;
  if (next === "no" && isSeen(mark))
    return toast(`A concept that is absent has no region: erase that of ${plain(concept)} first.`);
  change("concept", { ...mark, presence: next }, { concept, origin });
}

function setDiagnosis(index) {
  const name = session.project.classes[index];
  if (name) change("diagnosis", session.entry.annotation.diagnosis === name ? null : name);
}

function setConfidence(value) {
  change("confidence", session.entry.annotation.confidence === value ? null : value);
}

function shiftConfidence(step) {
  const { confidence } = session.entry.annotation;
  const next = Math.min(Math.max((confidence ?? (step > 0 ? 0 : 6)) + step, 1), 5);
  if (next !== confidence) change("confidence", next);
}

/** Say where the reader is with a case, and go on to the next one. */
function finish(status) {
  const { entry } = session;
  surface.choose(chosenConcept()); // finishes what is being drawn
  leaveComment();
  if (entry.annotation.status !== status) change("status", status);
  openNeighbour(1);
}

function reopen() {
  if (session.entry.annotation.status !== "open") change("status", "open");
}

function chooseConcept(index) {
  if (!session.entry || index >= session.project.concepts.length) return;
  session.concept = index;
  surface.choose(chosenConcept());
  showEntry();
  assist.show();
  settle.paint();
}

function gridOf() {
  const helper = session.project.models.find(({ name }) => name === ref("helper").value);
  return helper?.grid ?? [14, 14];
}

const PLACE = "csr-annotate";

/** Where this browser left off: who read which project, and which case was open. */
function readPlace() {
  try {
    return JSON.parse(localStorage.getItem(PLACE)) ?? {};
  } catch {
    return {}; // a browser that refuses storage merely forgets the place
  }
}

function rememberPlace() {
  const { reader, project, entry } = session;
  const cases = { ...readPlace().cases, [[reader, project.name]]: entry?.case };
  const place = { reader, project: project.name, cases, view: queue.view(), help: ref("help").value };
  try {
    localStorage.setItem(PLACE, JSON.stringify(place));
  } catch {
    // as above
  }
}
