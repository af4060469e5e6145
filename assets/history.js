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
    return { item: make("li", {}, chip), chip, effect, shown: {} };
  }

  function describeEffect(entry, position, diagnosis) {
    const [before, now] = [entry.steps[position - 1].answer, entry.steps[position].answer];
    if (!before || !now) return "…";
    const probability = (answer) => figure(answer.verdict.probabilities[diagnosis]);
    return `${plain(entry.classes[diagnosis])} ${probability(before)} → ${probability(now)}`;
  }

  /** Write what changed only: every write costs a layout of the whole list. */
  function updateChip({ chip, effect, shown }, { kind }, state) {
    if (shown.state === state.state && shown.effect === state.effect) return;
    Object.assign(shown, state);
    chip.className = kind + (state.state === "undone" ? " undone" : "");
    chip.title = state.state === "undone" ? "Redo up to here" : "Go back to here";
    chip.toggleAttribute("aria-current", state.state === "current");
    effect.textContent = state.effect;
  }

  function update({ entry, diagnosis }) {
    const list = ref("chips");
    let item = list.firstElementChild;
    for (let position = 1; position < entry.steps.length; position++) {
      const step = entry.steps[position];
      step.chip ??= buildChip(step, position);
      const place = Math.sign(position - entry.position);
      updateChip(step.chip, step, {
        state: { "-1": "done", 0: "current", 1: "undone" }[place],
        effect: describeEffect(entry, position, diagnosis),
      });
      if (item === step.chip.item) item = item.nextElementSibling;
      else list.insertBefore(step.chip.item, item);
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
