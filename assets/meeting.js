// Blind first: the reviewer's own call comes before the model's answer. The verdict is the diagnosis
// agreed on; by it the meeting keeps count of what its edits did to the model: fixed, broken, or
// neither.

/** What edits did to the model's diagnosis of one case. */
function outcomeOf({ agreed, before, after }) {
  if (before === after) return "unchanged";
  if (after === agreed) return "fixed";
  return before === agreed ? "broken" : "unchanged";
}

function tally(records) {
  const decided = records.filter(({ agreed }) => agreed !== null);
  const count = (outcome) => decided.filter((record) => outcomeOf(record) === outcome).length;
  return { fixed: count("fixed"), broken: count("broken"), unchanged: count("unchanged") };
}

/**
 * @param on {call(index), agree(index)}: the class called by the reviewer, or agreed on by all; -1
 *   for none.
 */
function makeMeeting(ref, on) {
  let records = []; // {source, model, call, agreed, before, after}: classes by name, or null
  const verdicts = [ref("agreed"), ref("verdict")];

  for (const choice of verdicts)
    choice.addEventListener("change", ({ target }) => on.agree(target.selectedIndex - 1));

  function recordOf({ source, model }) {
    return records.find((record) => record.source === source && record.model === model.name);
  }

  /** The record of a case, made if there is none yet. */
  function claim(entry) {
    const found = recordOf(entry);
    if (found) return found;
    const [call, agreed, before, after] = [null, null, null, null];
    records.push({ source: entry.source, model: entry.model.name, call, agreed, before, after });
    return records.at(-1);
  }

  function leading({ verdict }, classes) {
    return classes[verdict.probabilities.indexOf(Math.max(...verdict.probabilities))];
  }

  return {
    recordOf,
    tally: () => tally(records),
    /** For the memory: the cases by id. */
    records: () => records.map(({ source, ...record }) => ({ ...record, source: source.id })),
    /** @param sources by id. */
    restore(kept, sources) {
      records = kept
        .filter(({ source }) => sources.has(source))
        .map((record) => ({ ...record, source: sources.get(record.source) }));
    },
    build({ classes }) {
      ref("callChoices").replaceChildren(
        ...classes.map((name, index) => {
          const button = make("button", { type: "button" }, pretty(name));
          if (index < 9) button.prepend(make("kbd", { text: index + 1 }));
          button.addEventListener("click", () => on.call(index));
          return button;
        })
      );
      for (const choice of verdicts)
        choice.replaceChildren(
          make("option", { text: "–" }),
          ...classes.map((name) => make("option", { text: plain(name) }))
        );
    },
    call(entry, index) {
      const call = entry.classes[index];
      Object.assign(claim(entry), { call, agreed: call });
    },
    agree(entry, index) {
      claim(entry).agreed = entry.classes[index] ?? null;
    },
    /** What a saved session says of its case. */
    recall(entry, call, agreed) {
      if (call || agreed) Object.assign(claim(entry), { call, agreed });
    },
    /** @param view {entry, answer}: what is shown now. */
    update({ entry, answer }) {
      const record = recordOf(entry);
      const agreed = entry.classes.indexOf(record?.agreed);
      for (const choice of verdicts) choice.selectedIndex = agreed + 1;
      ref("meeting").hidden = !record;
      if (!record) return;
      record.before = leading(entry.base, entry.classes);
      record.after = leading(answer, entry.classes);
      const { fixed, broken, unchanged } = tally(records);
      ref("ownCall").textContent = record.call === null ? "no call" : plain(record.call);
      ref("tally").textContent =
        `fixed ${fixed} · broken ${broken} of ${fixed + broken + unchanged}`;
    },
  };
}
