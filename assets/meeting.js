// Blind first: the reviewer's own call comes before the model's answer, and the meeting keeps count
// of what its edits did to the model: fixed, broken, or neither, by the diagnosis agreed on.

/** What edits did to the model's diagnosis of one case. */
function outcomeOf({ agreed, before, after }) {
  if (before === after) return "unchanged";
  if (after === agreed) return "fixed";
  return before === agreed ? "broken" : "unchanged";
}

function tally(records) {
  const count = (outcome) => records.filter((record) => outcomeOf(record) === outcome).length;
  return { fixed: count("fixed"), broken: count("broken") };
}

/** @param on {call(index), agree(index)}: the class called by the reviewer, or agreed on by all. */
function makeMeeting(ref, on) {
  const records = []; // {source, model, call, agreed, before, after}: classes by name

  ref("agreed").addEventListener("change", ({ target }) => on.agree(target.selectedIndex));

  function recordOf({ source, model }) {
    return records.find((record) => record.source === source && record.model === model.name);
  }

  function leading({ verdict }, classes) {
    return classes[verdict.probabilities.indexOf(Math.max(...verdict.probabilities))];
  }

  return {
    recordOf,
    tally() {
      const { fixed, broken } = tally(records);
      return { fixed, broken, unchanged: records.length - fixed - broken };
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
      ref("agreed").replaceChildren(
        ...classes.map((name) => make("option", { text: plain(name) }))
      );
    },
    call(entry, index) {
      const call = entry.classes[index];
      records.push({ source: entry.source, model: entry.model.name, call, agreed: call });
    },
    agree(entry, index) {
      recordOf(entry).agreed = entry.classes[index];
    },
    /** @param view {entry, answer}: what is shown now. */
    update({ entry, answer }) {
      const record = recordOf(entry);
      ref("meeting").hidden = !record;
      if (!record) return;
      record.before = leading(entry.base, entry.classes);
      record.after = leading(answer, entry.classes);
      const { fixed, broken } = tally(records);
      ref("ownCall").textContent = plain(record.call);
      ref("agreed").selectedIndex = entry.classes.indexOf(record.agreed);
      ref("tally").textContent = `fixed ${fixed} · broken ${broken} of ${records.length}`;
    },
  };
}
