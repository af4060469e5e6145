// Cases: the strip of pictures, opening one here or on the server, uploads, another model.

const MAX_UPLOAD_BYTES = 64 * 2 ** 20;
const MAX_KEPT_CASES = 24;

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
  meeting.build(entry);
  ref("comment").value = entry.comment;
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
  if (/\.json$/i.test(file.name)) return openSession(file);
  open({ file, title: file.name || "pasted image" });
}

function openNeighbour(step) {
  if (!session.entry) return;
  const place = session.sources.indexOf(session.entry.source) + step;
  if (session.sources[place]) open(session.sources[place]);
}

function changeModel() {
  const marked = [...session.entries.values()].filter((entry) => entry.position > 0).length;
  forgetCases();
  if (marked)
    toast(
      `The model was changed, so the edits of ${plural(marked, "case", "cases")} were cleared.`,
      "note"
    );
  session.opening = null;
  open(session.entry?.source ?? session.sources[0]);
}

function forgetCases() {
  session.entries.clear();
  for (const source of session.sources) delete source.button.dataset.edited;
}

function changeSemantics() {
  forgetOtherSemantics();
  if (session.entry) show();
}

function forgetOtherSemantics() {
  for (const entry of session.entries.values())
    for (const step of entry.steps.slice(1))
      if (step.semantics !== shownSemantics()) step.answer = null;
}
