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
    source.button = button;
    return button;
  });
  ref("strip").replaceChildren(...thumbnails);
  worklist.show();
}

function uploadedSource(file, title) {
  return { id: freshId(), file, title };
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
  const { image, ...answer } = opened;
  // What is sent again and remembered is the picture without what its file says about people.
  if (image) source.file = new File([unpack(image, Uint8Array)], "image");
  const entry = makeEntry(source, { ...answer, title: source.title });
  revive(entry);
  if (session.entries.size >= MAX_KEPT_CASES)
    session.entries.delete(session.entries.keys().next().value);
  session.entries.set(source, entry);
  return entry;
}

async function enter(entry) {
  await canvas.open(entry.picture, ...entry.grid, entry.title);
  const model = session.returning?.model ?? session.entry?.model.name;
  session.entry = entry;
  session.diagnosis = session.returning?.diagnosis ?? entry.order[0];
  if (!entry.classes[session.diagnosis]) session.diagnosis = entry.order[0];
  session.returning = null;
  session.inspected = null;
  canvas.inspect(null);
  if (!session.sources.includes(entry.source)) {
    entry.source.thumbnail = entry.picture;
    session.sources.unshift(entry.source);
    buildStrip();
    rememberPicture(entry.source);
  }
  for (const source of session.sources)
    source.button.toggleAttribute("aria-current", source === entry.source);
  entry.source.button.scrollIntoView({ block: "nearest" });
  panel.build(entry);
  meeting.build(entry);
  ref("comment").value = entry.comment;
  showCard(ref, entry.model);
  const { similarities } = entry.base.verdict;
  const strongest = similarities.indexOf(Math.max(...similarities));
  const known = model === entry.model.name && session.concept < entry.concepts.length;
  chooseConcept(known ? session.concept : strongest);
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
  open(uploadedSource(file, file.name || "pasted image"));
}

function openNeighbour(step) {
  if (!session.entry) return;
  const place = session.sources.indexOf(session.entry.source) + step;
  if (session.sources[place]) open(session.sources[place]);
}

function changeModel() {
  const marked = [...session.entries.values()].filter((entry) => entry.position > 0).length;
  session.entries.clear();
  worklist.show();
  if (marked)
    toast(
      `The edits of ${plural(marked, "case", "cases")} stay with the other model; choose it again ` +
        "to go on with them.",
      "note"
    );
  session.opening = null;
  open(session.entry?.source ?? session.sources[0]);
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
