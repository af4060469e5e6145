// What `csr_core/evidence.py` does, in the browser: edits are merged into marks, marks are applied
// to the similarities of a case, and the scores become probabilities. Pure functions over values
// that nobody changes; a concept that an edit leaves alone keeps its very array of marks.

const ALPHA = 0.2; // weight of the evidence outside every focus region (Eq. 12)

const UNMARKED = 0;
const SUPPRESSED = 1;
const FORCED = 2;
const RESTORED = 3; // a focus patch, which keeps its evidence
const IGNORED = 4; // suppressed for every concept at once: counts the same, is drawn differently
const REJECTED = 5; // left by an edit of the whole concept, like the next
const CONFIRMED = 6;

const MARK_OF = {
  suppress: SUPPRESSED,
  reject: REJECTED,
  force: FORCED,
  confirm: CONFIRMED,
  ignore: IGNORED,
  focus: RESTORED,
  erase: UNMARKED,
};

/** The evidence before any edit: marks by concept and cell, and which cells are in the focus. */
function unedited(concepts, cells) {
  return {
    marks: Array.from({ length: concepts }, () => new Uint8Array(cells)),
    focus: new Uint8Array(cells),
    focused: false,
  };
}

/** The evidence after one more edit; where edits of a concept meet in a cell, the later one wins. */
function withEdit(evidence, edit, concepts, columns) {
  const cells = edit.cells
    ? edit.cells.map(([row, column]) => row * columns + column)
    : [...evidence.focus.keys()];
  const one = edit.concept ? concepts.indexOf(edit.concept) : null;
  let { focus } = evidence;
  if (one === null && edit.kind !== "ignore") {
    focus = focus.slice();
    for (const cell of cells) focus[cell] = edit.kind === "focus";
  }
  // The focus is drawn for every concept at once: restoring one concept keeps it.
  const mark = (cell) => (edit.kind === "erase" && focus[cell] ? RESTORED : MARK_OF[edit.kind]);
  const marks = evidence.marks.map((before, concept) => {
    if (one !== null && concept !== one) return before;
    const after = before.slice();
    for (const cell of cells) after[cell] = mark(cell);
    return after;
  });
  return { marks, focus, focused: focus.includes(1) };
}

/**
 * The shortest list of edits that leads to the same evidence: all that an answer depends on, and no
 * longer after three hundred strokes than after ten.
 */
function editsOf({ marks, focus }, concepts, columns) {
  const cellsOf = (values, ...wanted) =>
    [...values.keys()]
      .filter((cell) => wanted.includes(values[cell]))
      .map((cell) => [Math.floor(cell / columns), cell % columns]);
  // The focus comes first, because it lifts every other mark, then what is said of whole concepts.
  const own = concepts.flatMap((concept, index) => {
    const values = marks[index];
    const kind = { [REJECTED]: "reject", [CONFIRMED]: "confirm" }[values.find(isAnswer)];
    return [
      ...(kind ? [{ kind, concept }] : []),
      { kind: "erase", concept, cells: kind ? cellsOf(values, UNMARKED, RESTORED) : [] },
      { kind: "suppress", concept, cells: cellsOf(values, SUPPRESSED, IGNORED) },
      { kind: "force", concept, cells: cellsOf(values, FORCED) },
    ];
  });
  return [{ kind: "focus", cells: cellsOf(focus, 1) }, ...own].filter(
    ({ cells }) => cells?.length !== 0
  );
}

const isAnswer = (mark) => mark === REJECTED || mark === CONFIRMED;

/** What rejecting and confirming are worth by themselves; null where they are marks and no more. */
function weighedAnswers({ answers }, semantics) {
  return semantics === "calibrated" ? answers : null;
}

/** How far rejecting and confirming move similarities, from 0 to 1. */
function shareOfAnswers(model, semantics) {
  return weighedAnswers(model, semantics)?.share ?? 1;
}

/** The marks of a concept as they are drawn on its map: an answer that leaves it alone is not. */
function onMap(marks, focus, model, semantics) {
  if (!marks.some(isAnswer)) return marks;
  const moved = shareOfAnswers(model, semantics) > 0;
  return marks.map((mark, cell) => {
    if (!isAnswer(mark)) return mark;
    if (!moved) return focus[cell] ? RESTORED : UNMARKED;
    return mark === REJECTED ? SUPPRESSED : FORCED;
  });
}

function calibrated(similarity, mark, dimmed, absent, present, share) {
  if (mark === SUPPRESSED || mark === IGNORED) return Math.min(similarity, absent);
  if (mark === FORCED) return Math.max(similarity, present);
  const unanswered = dimmed ? absent + ALPHA * (similarity - absent) : similarity;
  if (!isAnswer(mark)) return unanswered;
  const answered = mark === REJECTED ? Math.min(similarity, absent) : Math.max(similarity, present);
  return share * answered + (1 - share) * unanswered;
}

function asInPaper(similarity, mark, focused) {
  if (mark === SUPPRESSED || mark === IGNORED || mark === REJECTED) return 0;
  return focused && mark === UNMARKED ? ALPHA * Math.max(similarity, 0) : similarity;
}

/**
 * What a concept adds to each logit: Σ_m W_cm (s_m - absent_m), its scores s after the marks, and
 * what the reader's answer about it says.
 *
 * @param model {classes, concepts, prototypes, cells: counts; similarity (K, M, H·W), head
 *   (classes, K, M), absent, present (K, M), base (classes): flat arrays; answers, null or
 *   {rejected, confirmed (classes, K), share}}.
 */
function contribution(model, concept, { marks, focus, focused }, semantics) {
  const { prototypes, cells, similarity, head, absent, present } = model;
  const own = marks[concept];
  const share = shareOfAnswers(model, semantics);
  const shares = new Float64Array(model.classes);
  const answer = own.find(isAnswer);
  const answers = weighedAnswers(model, semantics);
  if (answer && answers) {
    const added = answer === REJECTED ? answers.rejected : answers.confirmed;
    shares.forEach((_, c) => (shares[c] = added[c * model.concepts + concept]));
  }
  for (let m = 0; m < prototypes; m++) {
    const row = concept * prototypes + m;
    let plain = -Infinity;
    let score = -Infinity;
    for (let cell = 0; cell < cells; cell++) {
      const value = similarity[row * cells + cell];
      const dimmed = focused && !focus[cell];
      const edited =
        semantics === "paper"
          ? asInPaper(value, own[cell], focused)
          : calibrated(value, own[cell], dimmed, absent[row], present[row], share);
      if (value > plain) plain = value;
      if (edited > score) score = edited;
    }
    if (semantics === "paper") score = Math.min(score, plain); // an edit never adds evidence
    for (let c = 0; c < shares.length; c++)
      shares[c] += head[(c * model.concepts + concept) * prototypes + m] * (score - absent[row]);
  }
  return shares;
}

/**
 * Probabilities of the classes under some evidence.
 *
 * @param known an earlier answer of the same case and semantics, or null: what concepts add whose
 *   marks are still the same is taken from there, which makes looking around cheap.
 */
function reasonHere(model, evidence, semantics, known = null) {
  const same = known?.evidence.focused === evidence.focused;
  const shares = evidence.marks.map((marks, concept) =>
    same && known.evidence.marks[concept] === marks
      ? known.shares[concept]
      : contribution(model, concept, evidence, semantics)
  );
  const logits = Array.from(model.base, (base, c) =>
    shares.reduce((sum, share) => sum + share[c], base)
  );
  const highest = Math.max(...logits);
  const odds = logits.map((logit) => Math.exp(logit - highest));
  const total = odds.reduce((sum, odd) => sum + odd, 0);
  return { evidence, shares, probabilities: odds.map((odd) => odd / total) };
}
