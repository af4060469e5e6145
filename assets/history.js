// The history: a chip for every edit, with what it changed; click one to go back to it.

/** @param onStep (position): a chip was pressed. */
function makeHistory(ref, onStep) {
  function buildChip(step, position) {
    const effect = make("small");
    const chip = make(
      "button",
      { type: "button" },
      make("b", { text: position + " " }),
      step.label,
      effect
    );
    chip.addEventListener("click", () => onStep(position));
    return { item: make("li", {}, chip), chip, effect };
  }

  function describeEffect(entry, position, diagnosis) {
    const [before, now] = [entry.steps[position - 1].answer, entry.steps[position].answer];
    if (!before || !now) return "…";
    const probability = (answer) => figure(answer.verdict.probabilities[diagnosis]);
    return `${plain(entry.classes[diagnosis])} ${probability(before)} → ${probability(now)}`;
  }

  function update({ entry, diagnosis }) {
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

  return { update };
}
