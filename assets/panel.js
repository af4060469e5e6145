// The evidence panel, the safety line, the history and the messages: numbers become pictures here.
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
 * @param on {diagnosis(index), concept(index), call(index, "reject"|"confirm"), step(position)}.
 */
function makePanel(ref, on) {
  let diagnoses = [];
  let concepts = [];

  function buildDiagnosis(name, index) {
    const fill = make("i");
    const before = make("s");
    const number = make("span", { className: "num" });
    const row = make(
      "button",
      { type: "button", title: "Show the evidence for " + plain(name) },
      make("span", { className: "name", text: pretty(name) }),
      make("span", { className: "bar", "aria-hidden": "true" }, fill, before),
      number
    );
    row.addEventListener("click", () => on.diagnosis(index));
    return { index, row, fill, before, number };
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
      make("span", { className: "calls" }, confirm, reject)
    );
    row.addEventListener("click", () => on.concept(index));
    return { row, choose, link, before, now, similarity, share, contribution, confirm, reject };
  }

  function updateDiagnoses({ entry, answer, diagnosis }) {
    const before = entry.base.verdict.probabilities;
    const now = answer.verdict.probabilities;
    const leading = now.indexOf(Math.max(...now));
    for (const { index, row, fill, before: tick, number } of diagnoses) {
      row.classList.toggle("leading", index === leading);
      row.setAttribute("aria-pressed", index === diagnosis);
      row.setAttribute(
        "aria-label",
        `${plain(entry.classes[index])}: ${figure(before[index])} before, ${figure(now[index])} now`
      );
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
    const highest = Math.max(...entry.scales);
    concepts.forEach((part, index) => {
      const share = answer.verdict.contributions[diagnosis][index];
      const reach = Math.min(Math.abs(share) / entry.contributionScale, 1) * 50;
      const place = (value) => 7 + 86 * Math.min(Math.max(value / highest, 0), 1);
      part.row.classList.toggle("chosen", index === concept);
      part.choose.setAttribute("aria-pressed", index === concept);
      part.row.setAttribute(
        "aria-label",
        `${plain(entry.concepts[index])}: similarity ${figure(before[index])} before, ` +
          `${figure(now[index])} now, contribution ${signed(share)}`
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
      part.confirm.setAttribute("aria-pressed", step.calls[index] === "confirm");
      part.reject.setAttribute("aria-pressed", step.calls[index] === "reject");
    });
    ref("scaleTop").textContent = entry.scales[concept].toFixed(1);
    ref("evidenceTitle").textContent = "Evidence for " + plain(entry.classes[diagnosis]);
  }

  function updateSafety({ entry, answer }) {
    const ranked = answer.verdict.probabilities
      .map((probability, index) => ({ probability, name: plain(entry.classes[index]) }))
      .sort((one, other) => other.probability - one.probability);
    const [first, second] = ranked;
    const margin = second ? first.probability - second.probability : 1;
    const undecided = margin < UNDECIDED_MARGIN;
    const between = second ? `, ${second.name} ${figure(second.probability)}` : "";
    ref("safety").replaceChildren(
      make("b", { text: undecided ? "Undecided" : pretty(first.name) }),
      `${first.name} ${figure(first.probability)}${between}: margin ${figure(margin)}` +
        (undecided ? `, below ${figure(UNDECIDED_MARGIN)}` : "")
    );
  }

  function buildChip(step, position) {
    const effect = make("small");
    const chip = make(
      "button",
      { type: "button" },
      make("b", { text: position + " " }),
      step.label,
      effect
    );
    chip.addEventListener("click", () => on.step(position));
    return { item: make("li", {}, chip), chip, effect };
  }

  function describeEffect(entry, position, diagnosis) {
    const [before, now] = [entry.steps[position - 1].answer, entry.steps[position].answer];
    if (!before || !now) return "…";
    const probability = (answer) => figure(answer.verdict.probabilities[diagnosis]);
    return `${plain(entry.classes[diagnosis])} ${probability(before)} → ${probability(now)}`;
  }

  function updateChips({ entry, diagnosis }) {
    const list = ref("chips");
    for (let position = 1; position < entry.steps.length; position++) {
      const step = entry.steps[position];
      step.chip ??= buildChip(step, position);
      const { item, chip, effect } = step.chip;
      const undone = position > entry.position;
      chip.className = step.kind + (undone ? " undone" : "");
      chip.title = undone ? "Redo up to here" : "Go back to here";
      chip.toggleAttribute("aria-current", position === entry.position);
      effect.textContent = describeEffect(entry, position, diagnosis);
      if (list.children[position - 1] !== item)
        list.insertBefore(item, list.children[position - 1] ?? null);
    }
    while (list.childElementCount >= entry.steps.length) list.lastChild.remove();
    ref("hint").hidden = entry.steps.length > 1;
    const current = entry.steps[entry.position].chip?.item;
    if (current) list.scrollLeft = current.offsetLeft + current.offsetWidth - list.clientWidth + 4;
    ref("undo").disabled = entry.position === 0;
    ref("redo").disabled = entry.position === entry.steps.length - 1;
    ref("reset").disabled = entry.position === 0;
  }

  return {
    build(entry) {
      diagnoses = entry.order.map((index) => buildDiagnosis(entry.classes[index], index));
      concepts = entry.concepts.map(buildConcept);
      ref("diagnoses").replaceChildren(...diagnoses.map(({ row }) => row));
      ref("concepts").replaceChildren(...concepts.map(({ row }) => row));
      ref("synthetic").hidden = !entry.model.card.synthetic;
    },
    /** @param view {entry, step, answer, diagnosis, concept}. */
    update(view) {
      updateDiagnoses(view);
      updateConcepts(view);
      updateSafety(view);
      updateChips(view);
    },
    updateChips,
    revealConcept(index) {
      concepts[index].row.scrollIntoView({ block: "nearest" });
    },
  };
}

/** "This patch looks like that patch": a patch of this case beside the exemplar it resembles. */
function makeExemplarView(ref) {
  let shown = null;
  return {
    /** @param patch {cell, similarity, prototype, count}; exemplar: a promise, or null. */
    async show(canvas, patch, exemplar) {
      shown = patch;
      const living = Number.isFinite(patch.similarity); // else no prototype of the concept is alive
      canvas.crop(ref("here"), patch.cell);
      ref("here").setAttribute(
        "aria-label",
        `Patch of this image, row ${patch.cell[0]}, column ${patch.cell[1]}`
      );
      ref("likeness").textContent = living ? figure(patch.similarity) : "–";
      ref("exemplarTitle").textContent = living
        ? `prototype ${patch.prototype + 1} of ${patch.count}`
        : "no prototype is alive";
      const found = await exemplar;
      if (shown !== patch) return;
      ref("exemplar").classList.toggle("unknown", !living || !found || Boolean(found.error));
      if (!living || !found || found.error) return;
      const there = ref("there");
      there.style.backgroundImage = found.picture ? `url("${found.picture}")` : "";
      there.textContent = found.picture ? "" : "no picture with this model";
      ref("facts").replaceChildren(
        make("b", { text: found.image_id }),
        make("div", { text: `row ${found.row}, column ${found.column}` }),
        make("div", {
          text: "closest to " + plural(found.hits, "training image", "training images"),
        })
      );
    },
  };
}

/** Sentences at the edge of the screen; each goes after a while, or when it is dismissed. */
function makeToasts(ref) {
  return (sentence, kind = "problem") => {
    const dismiss = make("button", { type: "button", text: "✕", "aria-label": "Dismiss" });
    const toast = make("div", { className: kind }, make("p", { text: sentence }), dismiss);
    dismiss.addEventListener("click", () => toast.remove());
    setTimeout(() => toast.remove(), kind === "note" ? 5000 : 12000);
    while (ref("toasts").childElementCount > 2) ref("toasts").firstChild.remove();
    ref("toasts").append(toast);
  };
}

/** The model card as a list of names and values; nested values are shown as JSON. */
function showCard(ref, model) {
  ref("cardTitle").textContent = model.title;
  const items = Object.entries(model.card).flatMap(([name, value]) => [
    make("dt", { text: pretty(name) }),
    make("dd", { text: typeof value === "object" ? JSON.stringify(value) : String(value) }),
  ]);
  ref("card").replaceChildren(...items);
}
