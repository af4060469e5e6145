// The worklist: which cases were reviewed, and the way from one to the next. A case counts as
// reviewed, with the chosen model, once its reader edited it, made a call, or said so.

const worklist = makeWorklist(ref);

function makeWorklist(ref) {
  const counted = new WeakMap(); // the latest edit and call of an opened case that were counted

  const chosen = () => ref("model").value;
  const isReviewed = (source) => Boolean(source.reviewed?.[chosen()]);

  function mark(source, reviewed) {
    source.reviewed = { ...source.reviewed, [chosen()]: reviewed };
  }

  /** Work done since the last look counts, and earlier work unless its reader said otherwise. */
  function countWork(entry, record) {
    const work = [entry.steps.at(-1), record];
    const judged = entry.source.reviewed?.[entry.model.name] !== undefined;
    const known = counted.get(entry) ?? (judged ? work : [entry.steps[0], undefined]);
    if (work.some((latest, index) => latest !== known[index])) mark(entry.source, true);
    counted.set(entry, work);
  }

  function showSource(source) {
    const reviewed = isReviewed(source);
    const { button } = source;
    if (button.hasAttribute("data-reviewed") === reviewed) return;
    button.toggleAttribute("data-reviewed", reviewed);
    button.setAttribute("aria-label", source.title + (reviewed ? ", reviewed" : ""));
  }

  function show() {
    const { sources, entry } = session;
    sources.forEach(showSource);
    const told = `${sources.filter(isReviewed).length} of ${sources.length} reviewed`;
    if (ref("progress").textContent !== told) ref("progress").textContent = told;
    const place = sources.indexOf(entry?.source);
    ref("previousCase").disabled = place < 1;
    ref("nextCase").disabled = place < 0 || place === sources.length - 1;
    ref("reviewed").disabled = !entry;
    ref("reviewed").checked = Boolean(entry) && isReviewed(entry.source);
  }

  function toggle() {
    if (!session.entry) return;
    mark(session.entry.source, !isReviewed(session.entry.source));
    show();
    rememberPage();
  }

  ref("reviewed").addEventListener("change", toggle);
  ref("previousCase").addEventListener("click", () => openNeighbour(-1));
  ref("nextCase").addEventListener("click", () => openNeighbour(1));

  return {
    show,
    toggle,
    /** For the memory: what was judged of each case, by id and model. */
    marks: () => session.sources.map(({ id, reviewed }) => [id, reviewed]),
    /** @param sources by id. */
    restore(marks = [], sources) {
      for (const [id, reviewed] of marks) if (sources.has(id)) sources.get(id).reviewed = reviewed;
    },
    /** @param record of the meeting about the case, or undefined if no call was made. */
    update(entry, record) {
      countWork(entry, record);
      show();
    },
  };
}
