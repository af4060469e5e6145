// What is kept of a review: its comment, the session as a file, and the report.

function wireKeeping() {
  const setOpen = (isOpen) => {
    ref("keeping").hidden = !isOpen;
    suggestion.close();
  };
  ref("openKeeping").addEventListener("click", () => setOpen(ref("keeping").hidden));
  ref("closeKeeping").addEventListener("click", () => setOpen(false));
  ref("comment").addEventListener("input", ({ target }) => {
    if (session.entry) session.entry.comment = target.value;
  });
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
    blind: Boolean(record),
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
  if (opened.model.name !== ref("model").value) forgetCases();
  ref("model").value = opened.model.name;
  ref("semantics").value = semantics;
  forgetOtherSemantics();
  const picture = new File([unpack(image, Uint8Array)], file.name);
  const source = { file: picture, title: file.name };
  const entry = makeEntry(source, { ...opened, title: file.name });
  entry.comment = comment;
  answer.edits.forEach((edit, index) => restoreEdit(entry, edit, answer.times[index]));
  session.entries.set(source, entry);
  session.opening = null;
  await enter(entry);
  if (answer.differences.length) toast(answer.differences.join(" "));
  else toast("The session was replayed, and every number is as it was saved.", "note");
}

function restoreEdit(entry, record, time) {
  const { kind, cells } = record;
  const numbered = typeof record.concept === "number";
  const edit = numbered ? { ...record, concept: entry.concepts[record.concept] } : record;
  const last = entry.steps.at(-1);
  const index = cells ? -1 : entry.concepts.indexOf(edit.concept);
  editTimes.set(edit, time);
  entry.steps.push({
    edits: [...last.edits, edit],
    kind,
    label: labelOf(edit),
    evidence: withEdit(last.evidence, edit, entry.concepts, entry.grid[1]),
    calls: index < 0 ? last.calls : last.calls.with(index, kind),
    answer: null,
  });
  entry.position += 1;
}
