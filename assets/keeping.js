// What is kept of a review: its comment, the session as a file, and the report.

function wireKeeping() {
  const setOpen = (isOpen) => {
    ref("keeping").hidden = !isOpen;
    suggestion.close();
  };
  ref("openKeeping").addEventListener("click", () => setOpen(ref("keeping").hidden));
  ref("closeKeeping").addEventListener("click", () => setOpen(false));
  ref("comment").addEventListener("input", ({ target }) => {
    if (!session.entry) return;
    session.entry.comment = target.value;
    rememberCase(session.entry);
  });
  ref("forget").addEventListener("click", forgetReview);
  for (const button of ref("keeping").querySelectorAll("[data-keep]"))
    button.addEventListener("click", () => keepReview(button.dataset.keep));
}

/** @param kind json (the session), html or pdf (the report). */
async function keepReview(kind) {
  const { entry } = session;
  if (!entry) return;
  if (mustCallFirst()) return toast("Make your own call first; the file holds the model's answer.");
  const { edits } = entry.steps[entry.position];
  const record = meeting.recordOf(entry);
  const review = {
    kind,
    edits,
    times: edits.map((edit) => editTimes.get(edit)),
    semantics: shownSemantics(),
    concept: session.concept,
    comment: entry.comment,
    own_call: record?.call ?? null,
    blind: Boolean(record?.call),
    verdict: record?.agreed ?? null,
    tally: meeting.tally(),
    with_image: !ref("leaveImageOut").checked,
  };
  const answer = await askAboutCase(
    entry,
    () => server.keep({ ...review, key: entry.key }),
    () => session.entry === entry
  );
  if (answer?.error) toast(answer.error);
  else if (answer) download(answer);
}

function download({ name, type, data }) {
  const link = make("a", { download: name });
  link.href = URL.createObjectURL(new Blob([unpack(data, Uint8Array)], { type }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Open a session file: its case, its edits step by step, its comment; and say what differs. */
async function openSession(file) {
  const data = { key: session.entry?.key ?? "", session: file };
  const answer = await server.open_session({ binary: true, data });
  if (!answer || answer.error)
    return toast(answer?.error ?? "The server can't be reached; try again in a moment.");
  const { opened, image, comment, semantics } = answer;
  if (opened.model.name !== ref("model").value) session.entries.clear();
  ref("model").value = opened.model.name;
  ref("semantics").value = semantics;
  forgetOtherSemantics();
  const picture = new File([unpack(image, Uint8Array)], file.name);
  const source = uploadedSource(picture, file.name);
  const entry = makeEntry(source, { ...opened, title: file.name });
  entry.comment = comment;
  for (const edits of strokesOf(answer)) restoreStroke(entry, edits);
  rememberCase(entry);
  meeting.recall(entry, answer.own_call, answer.verdict);
  session.entries.set(source, entry);
  session.opening = null;
  await enter(entry);
  if (answer.differences.length) toast(answer.differences.join(" "));
  else toast("The session was replayed, and every number is as it was saved.", "note");
}

/** The edits of a session by stroke: those made at one moment were made as one. */
function strokesOf({ edits, times }) {
  const strokes = [];
  edits.forEach((edit, index) => {
    if (index && times[index] === times[index - 1]) strokes.at(-1).push({ edit, time: times[index] });
    else strokes.push([{ edit, time: times[index] }]);
  });
  return strokes;
}

function restoreStroke(entry, stroke) {
  const last = entry.steps.at(-1);
  const edits = stroke.map(({ edit, time }) => {
    const numbered = typeof edit.concept === "number";
    const named = numbered ? { ...edit, concept: entry.concepts[edit.concept] } : edit;
    editTimes.set(named, time);
    return named;
  });
  const calls = edits.reduce((before, { kind, cells, concept }) => {
    const index = cells ? -1 : entry.concepts.indexOf(concept);
    return index < 0 ? before : before.with(index, kind);
  }, last.calls);
  const label =
    edits.length === 1 ? labelOf(edits[0]) : plural(edits.length, "edit", "edits") + " at once";
  appendStep(entry, [...last.edits, ...edits], calls, edits[0].kind, label);
}
