// The evidence panel, and the safety line: numbers become pictures here.
// Rows are built once a case and updated in place. Every text goes in as textContent.

const UNDECIDED_MARGIN = 0.3;

const pretty = (name) => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
const plain = (name) => name.replaceAll("_", " ");
const figure = (value) => value.toFixed(2);
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
const changed = (before, now) => figure(before) !== figure(now);
const plural = (count, one, many) => count + " " + (count === 1 ? one : many);

/** An element with classes, attributes, text and children. */
function make(tag, { className = "", text = null, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  if (text !== null) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * @param on {diagnosis(index), concept(index), call(index, "reject"|"confirm")}.
 */
function makePanel(ref, on) {
  let diagnoses = [];
  let concepts = [];

  function buildDiagnosis(name, index) {
    const fill = make("i");
    const before = make("s");
    const number = make("span", { className: "num" });
    const inPaper = make("b", { className: "num" });
    const row = make(
      "button",
      { type: "button", title: "Show the evidence for " + plain(name) },
      make("span", { className: "name", text: pretty(name) }),
      make("span", { className: "bar", "aria-hidden": "true" }, fill, before),
      number,
      inPaper
    );
    row.addEventListener("click", () => on.diagnosis(index));
    return { index, row, fill, before, number, inPaper };
  }

  function buildCall(index, kind, sign, name) {
    const button = make("button", {
      type: "button",
      className: kind,
      text: sign,
      title: pretty(kind) + " " + plain(name),
      "aria-label": pretty(kind) + " " + plain(name),
      "aria-pressed": "false",
    });
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      on.call(index, kind);
    });
    return button;
  }

  function buildConcept(name, index) {
    const link = make("u");
    const before = make("i");
    const now = make("b");
    const similarity = make("span", { className: "num" });
    const share = make("i");
    const contribution = make("span", { className: "num" });
    const parts = make("span", { className: "parts" });
    const confirm = buildCall(index, "confirm", "✓", name);
    const reject = buildCall(index, "reject", "✕", name);
    const choose = make("button", {
      type: "button",
      className: "name",
      text: pretty(name),
      title: pretty(name),
    });
    const row = make(
      "div",
      { className: "concept", role: "group", "data-concept": name },
      make("span", { className: "digit", text: index < 9 ? index + 1 : "", "aria-hidden": "true" }),
      choose,
      make("span", { className: "dumbbell", "aria-hidden": "true" }, link, before, now),
      similarity,
      make("span", { className: "ledger", "aria-hidden": "true" }, share),
      contribution,
      make("span", { className: "calls" }, confirm, reject),
      parts
    );
    row.addEventListener("click", () => on.concept(index));
    return { row, choose, link, before, now, similarity, share, contribution, confirm, reject, parts };
  }

  function updateDiagnoses({ entry, answer, diagnosis, paper }) {
    const before = entry.base.verdict.probabilities;
    const now = answer.verdict.probabilities;
    const leading = now.indexOf(Math.max(...now));
    ref("diagnoses").classList.toggle("compared", paper !== null);
    ref("diagnosisTitle").textContent = paper ? "before → calibrated | paper" : "before → now";
    for (const { index, row, fill, before: tick, number, inPaper } of diagnoses) {
      row.classList.toggle("leading", index === leading);
      row.setAttribute("aria-pressed", index === diagnosis);
      row.setAttribute(
        "aria-label",
        `${plain(entry.classes[index])}: ${figure(before[index])} before, ${figure(now[index])} now` +
          (paper ? `, ${figure(paper[index])} as in the paper` : "")
      );
      inPaper.textContent = paper ? figure(paper[index]) : "";
      fill.style.transform = "scaleX(" + now[index] + ")";
      tick.style.left = 100 * before[index] + "%";
      number.replaceChildren(
        figure(before[index]) + " → ",
        make("b", { text: figure(now[index]) })
      );
    }
  }

  function updateConcepts({ entry, answer, step, diagnosis, concept }) {
    const before = entry.base.verdict.similarities;
    const now = answer.verdict.similarities;
    concepts.forEach((part, index) => {
      const share = answer.verdict.contributions[diagnosis][index];
      const reach = Math.min(Math.abs(share) / entry.contributionScale, 1) * 50;
      const answered = answer.verdict.answers[diagnosis][index];
      const parts = answered
        ? `image ${signed(share - answered)}, your answer ${signed(answered)}`
        : "";
      const place = (value) => 7 + 86 * Math.min(Math.max(value, 0), 1);
      part.row.classList.toggle("chosen", index === concept);
      part.choose.setAttribute("aria-pressed", index === concept);
      part.row.setAttribute(
        "aria-label",
        `${plain(entry.concepts[index])}: similarity ${figure(before[index])} before, ` +
          `${figure(now[index])} now, contribution ${signed(share)}` +
          (parts && `: ${parts}`)
      );
      part.before.style.left = place(before[index]) + "%";
      part.now.style.left = place(now[index]) + "%";
      part.link.style.left = Math.min(place(before[index]), place(now[index])) + "%";
      part.link.style.width = Math.abs(place(now[index]) - place(before[index])) + "%";
      part.similarity.textContent = figure(now[index]);
      part.similarity.title = figure(before[index]) + " → " + figure(now[index]);
      part.share.style.background = share < 0 ? "var(--against)" : "var(--for)";
      part.share.style.left = (share < 0 ? 50 - reach : 50) + "%";
      part.share.style.right = (share < 0 ? 50 : 50 - reach) + "%";
      part.contribution.textContent = signed(share);
      part.parts.textContent = parts;
      part.confirm.setAttribute("aria-pressed", step.calls[index] === "confirm");
      part.reject.setAttribute("aria-pressed", step.calls[index] === "reject");
    });
    ref("evidenceTitle").textContent = "Evidence for " + plain(entry.classes[diagnosis]);
  }

  /** The first focus mark changes every unmarked patch, so it is never left unsaid. */
  function focusSentence({ entry, step, answer, diagnosis }) {
    const before = entry.steps[entry.position - 1];
    if (!step.evidence.focused || !before?.answer || before.evidence.focused) return null;
    const probability = ({ verdict }) => figure(verdict.probabilities[diagnosis]);
    return (
      `Focus dims everything outside it: ${plain(entry.classes[diagnosis])} ` +
      `${probability(before.answer)} → ${probability(answer)}`
    );
  }

  function updateSafety(view) {
    const { entry, answer } = view;
    if (view.hidden)
      return ref("safety").replaceChildren(make("b", { text: "Blind first" }), "your call, please");
    const ranked = answer.verdict.probabilities
      .map((probability, index) => ({ probability, name: plain(entry.classes[index]) }))
      .sort((one, other) => other.probability - one.probability);
    const [first, second] = ranked;
    const margin = second ? first.probability - second.probability : 1;
    const undecided = margin < UNDECIDED_MARGIN;
    const between = second ? `, ${second.name} ${figure(second.probability)}` : "";
    ref("safety").replaceChildren(
      make("b", { text: undecided ? "Undecided" : pretty(first.name) }),
      focusSentence(view) ??
        `${first.name} ${figure(first.probability)}${between}: margin ${figure(margin)}` +
          (undecided ? `, below ${figure(UNDECIDED_MARGIN)}` : "")
    );
  }

  return {
    build(entry) {
      diagnoses = entry.order.map((index) => buildDiagnosis(entry.classes[index], index));
      concepts = entry.concepts.map(buildConcept);
      ref("diagnoses").replaceChildren(...diagnoses.map(({ row }) => row));
      ref("concepts").replaceChildren(...concepts.map(({ row }) => row));
      ref("synthetic").hidden = !entry.model.card.synthetic;
    },
    /**
     * @param view {entry, step, answer, diagnosis, concept, hidden, paper}: whether the answer must
     *   not be seen yet; the probabilities as in the paper where they are compared, else null.
     */
    update(view) {
      updateDiagnoses(view);
      updateConcepts(view);
      updateSafety(view);
    },
    revealConcept(index) {
      concepts[index].row.scrollIntoView({ block: "nearest" });
    },
  };
}
