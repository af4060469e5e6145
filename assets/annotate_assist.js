// The model's help: what it would mark, and patches like those that were marked. It is offered, never
// written: what a reader takes over is a mark of theirs, and remembers where it came from.

const PROPOSAL_PAUSE = 350; // after a stroke, until similar patches are asked for
const assist = makeAssist();

function makeAssist() {
  let suggested = null; // by concept: {presence, probability, cells}; null until the model answered
  let suggestedFor = ""; // case and model
  let here = new Map(); // proposals in the open case, by concept
  let elsewhere = []; // proposals in other cases
  let elsewhereOf = null; // the concept they are for
  const rejected = new Map(); // by concept: patches taken out of proposals, by case
  const offered = new Map(); // proposals for a case that was opened for them, by case and concept
  let saved = 0;
  let later = 0;

  const model = () => ref("helper").value;
  const level = () => ref("help").value;

  /** Whether the model may show what it thinks: in blind mode once the reader is done. */
  function isShown() {
    const { entry } = session;
    if (!entry || !model() || level() === "off") return false;
    return level() === "on" || entry.annotation.status === "done";
  }

  async function ask() {
    const wanted = [session.entry.case, model()].join(" ");
    if (suggestedFor === wanted) return;
    suggestedFor = wanted;
    suggested = null;
    const answer = await server.annotate_suggest({ ...asking(), case: session.entry.case, model: model() });
    if (suggestedFor !== wanted) return;
    if (!answer) suggestedFor = ""; // the server is away: ask again with the next step
    else if (answer.error) toast(answer.error);
    suggested = answer?.concepts ?? null;
    if (suggested) show();
  }

  /** What is offered for a concept: patches like those marked, else what the model would mark. */
  function offerOf(concept) {
    if (!isShown()) return null;
    const mark = markOf(concept);
    const proposal = here.get(concept);
    if (proposal) return { kind: "propagation", ...proposal };
    const found = suggested?.[concept];
    if (!found || mark.presence !== null || isSeen(mark)) return null;
    return { kind: "suggestion", added: found.cells, ...found };
  }

  function show() {
    const { entry } = session;
    if (!entry) return;
    if (isShown()) ask();
    const concept = chosenConcept();
    const offer = offerOf(concept);
    surface.suggest(concept, offer?.cells?.length ? { cells: offer.cells } : null);
    showEntry();
    ref("accept").hidden = !offer;
    ref("helpText").textContent = !isShown() ? quiet() : offer ? describe(concept, offer) : nothing();
    const others = isShown() && elsewhereOf === chosenConcept() ? elsewhere : [];
    ref("elsewhere").hidden = !others.length;
    ref("elsewhere").textContent = `In ${plural(others.length, "other case", "other cases")} (W)`;
    ref("clicksSaved").textContent = saved ? `${plural(saved, "click", "clicks")} saved` : "";
  }

  const quiet = () =>
    level() === "blind" && model() ? "The model's marks are hidden until you are done." : "";
  const nothing = () => (suggestedFor && !suggested ? "Asking the model …" : "");

  function describe(concept, { kind, presence, cells, added }) {
    if (kind === "propagation")
      return `${plural(added.length, "more patch looks", "more patches look")} like ${plain(concept)}.`;
    if (presence === "no") return `The model sees no ${plain(concept)}.`;
    const sure = presence === "yes" ? "sees" : "may see";
    return `The model ${sure} ${plain(concept)} in ${plural(cells.length, "patch", "patches")}.`;
  }

  /** Take what is offered for the chosen concept over. @returns whether there was something. */
  function accept() {
    const concept = chosenConcept();
    const offer = offerOf(concept);
    if (!offer) return false;
    here.delete(concept);
    count(offer);
    if (offer.cells.length) {
      accepting = offer;
      surface.acceptSuggestion();
      accepting = null;
    } else setPresence(concept, offer.presence, "suggestion");
    show();
    return true;
  }
  let accepting = null;

  /** A key press takes over what would have been a click a patch. */
  function count({ added, cells }) {
    saved += Math.max(0, (added ?? cells).length - 1);
  }

  function acceptAll() {
    const { concept } = session;
    session.project.concepts.forEach((name, index) => {
      if (!offerOf(name) || offerOf(name).presence === "unsure") return;
      chooseConcept(index);
      accept();
    });
    chooseConcept(concept);
  }

  /** Not these: what is offered is not offered again. */
  function reject() {
    const concept = chosenConcept();
    const offer = here.get(concept);
    if (!offer) return;
    const cases = rejected.get(concept) ?? {};
    const { case: id } = session.entry;
    cases[id] = [...(cases[id] ?? []), ...offer.added];
    rejected.set(concept, cases);
    here.delete(concept);
    show();
  }

  /** Look for patches like those of a concept: in this case, then in others. */
  async function look(concept) {
    const { entry } = session;
    if (!isShown() || !markOf(concept).mask) return;
    const request = {
      ...asking(),
      case: entry.case,
      model: model(),
      concept,
      rejected: rejected.get(concept) ?? {},
    };
    const still = () => session.entry === entry && chosenConcept() === concept && isShown();
    const found = await server.annotate_similar(request);
    if (!found?.proposals || !still()) return;
    here.delete(concept);
    for (const proposal of found.proposals) here.set(concept, proposal);
    show();
    const others = await server.annotate_similar({ ...request, elsewhere: true });
    if (!others?.proposals || !still()) return;
    [elsewhere, elsewhereOf] = [others.proposals, concept];
    show();
  }

  /** Open the next case with patches like those marked, and offer them there. */
  async function goElsewhere() {
    const [next, ...rest] = elsewhere;
    const concept = chosenConcept();
    if (!next || !isShown() || elsewhereOf !== concept) return;
    offered.set([next.case, concept].join(" "), next);
    if (!(await openCase({ case: next.case }))) return;
    elsewhere = rest;
    show();
  }

  ref("accept").addEventListener("click", accept);
  ref("elsewhere").addEventListener("click", goElsewhere);
  for (const name of ["help", "helper"])
    ref(name).addEventListener("change", () => {
      suggestedFor = "";
      suggested = null;
      rememberPlace();
      show();
    });

  return {
    show,
    accept,
    acceptAll,
    reject,
    goElsewhere,
    /** Another case is open. */
    forget() {
      suggestedFor = "";
      suggested = null;
      elsewhere = [];
      here = new Map();
      for (const concept of session.project.concepts) {
        const proposal = offered.get([session.entry.case, concept].join(" "));
        if (proposal) here.set(concept, proposal);
      }
      offered.clear();
    },
    /** Where a mark of the surface came from. */
    originOf: (origin) => (origin === "suggestion" && accepting ? accepting.kind : origin),
    /** Something was drawn: what is like it? */
    after(concept) {
      here.delete(concept);
      elsewhere = [];
      show();
      clearTimeout(later);
      later = setTimeout(() => look(concept), PROPOSAL_PAUSE);
    },
    /** Beside each concept what the model says of it, while that is shown. */
    showHints(rows) {
      session.project.concepts.forEach((name, index) => {
        const found = isShown() ? suggested?.[name] : null;
        rows[index].hint.textContent = found
          ? `model: ${PRESENCE_WORDS[found.presence]}, ${Math.round(100 * found.probability)} %`
          : "";
      });
    },
    next() {
      const levels = ["off", "blind", "on"];
      ref("help").value = levels[(levels.indexOf(level()) + 1) % levels.length];
      ref("help").dispatchEvent(new Event("change"));
    },
  };
}
