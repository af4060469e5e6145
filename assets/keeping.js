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
