// Counsel of the server about the open case: what would change the answer, and what to ask next.

const ADVICE_DELAY = 500; // so that advice never competes with the next stroke

const suggestion = makeSuggestion(ref, applySuggestion);

/** The sentence above the history that says what would change the answer. */
function makeSuggestion(ref, onApply) {
  let offered = [];
  const close = () => (ref("suggestion").hidden = true);
  ref("applySuggestion").addEventListener("click", () => {
    close();
    onApply(offered);
  });
  ref("closeSuggestion").addEventListener("click", close);
  return {
    close,
    show({ sentence, label, edits }) {
      offered = { label, edits };
      ref("suggestionText").textContent = sentence;
      ref("applySuggestion").hidden = !edits.length;
      ref("suggestion").hidden = false;
    },
  };
}

async function changeAnswer() {
  const { entry } = session;
  if (!entry || mustCallFirst()) return;
  const step = entry.steps[entry.position];
  const answer = await consult(entry, step, "change_answer");
  if (!isShown(entry, step) || mustCallFirst()) return;
  if (answer?.sentence) suggestion.show(answer);
  else toast(answer?.error ?? "The server can't be reached; try again in a moment.");
}

/** Make the edits of a suggestion as one step. */
function applySuggestion({ label, edits }) {
  const { entry } = session;
  const current = entry.steps[entry.position];
  const called = edits.filter(({ kind }) => kind === "reject" || kind === "confirm");
  const others = current.edits.filter(
    ({ kind, concept }) =>
      !["reject", "confirm"].includes(kind) || !called.some((call) => call.concept === concept)
  );
  const calls = called.reduce(
    (before, { kind, concept }) => before.with(entry.concepts.indexOf(concept), kind),
    current.calls
  );
  commit([...others, ...edits], calls, edits[0].kind, label);
}

/** Show what to ask next, once the reviewer pauses. */
async function advise(entry, step) {
  const semantics = shownSemantics();
  if (step.advice?.semantics !== semantics) {
    ref("question").disabled = true;
    await sleep(ADVICE_DELAY);
    if (!isShown(entry, step) || step.advising) return;
    step.advising = true;
    const answer = await consult(entry, step, "advise");
    step.advising = false;
    if (!answer?.question) return;
    step.advice = { ...answer, semantics };
    if (!isShown(entry, step)) return;
    if (semantics !== shownSemantics()) return advise(entry, step);
  }
  showNotices(step.advice.notices);
  ref("question").disabled = false;
  ref("questionText").textContent = step.advice.question.sentence;
}

/** What to be wary of: counted in the safety line, each with what to do on demand. */
function showNotices(notices) {
  const items = notices.map(({ level, kind, meaning, action }) =>
    make("li", { className: level, "data-kind": kind }, make("b", { text: meaning }), " " + action)
  );
  ref("noticeList").replaceChildren(...items);
  const grave = notices[0]?.level === "alert"; // the server puts the gravest first
  const count = plural(notices.length, "notice", "notices");
  ref("notices").textContent = (grave ? "⚠ Unfamiliar image · " : "") + count + " ▾";
  ref("notices").classList.toggle("alert", grave);
  ref("notices").hidden = !notices.length;
}

function showNoticeList(isOpen) {
  ref("noticeList").hidden = !isOpen;
  ref("notices").setAttribute("aria-expanded", isOpen);
}

function wireNotices() {
  ref("notices").addEventListener("click", () => showNoticeList(ref("noticeList").hidden));
  studio.addEventListener("pointerdown", ({ target }) => {
    if (!target.closest(".safety")) showNoticeList(false);
  });
}

/** Choose the concept of the question, and show where to look. */
function lookAtQuestion() {
  const { entry } = session;
  const { concept, cells } = entry.steps[entry.position].advice.question;
  chooseConcept(concept);
  canvas.point(cells);
}

function consult(entry, step, question) {
  const { key } = entry;
  return server[question]({ key, edits: step.edits, semantics: shownSemantics() });
}

function isShown(entry, step) {
  return session.entry === entry && entry.steps[entry.position] === step;
}
