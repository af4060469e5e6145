// What goes over the wire: opening a case, asking about a step, and carrying on while the server
// is away.

function unpack(text, Type) {
  return new Type(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
}

function makeEntry(source, opened) {
  const [rows, columns] = opened.grid;
  const cells = rows * columns;
  const maps = unpack(opened.maps, Float32Array);
  const base = {
    verdict: opened.verdict,
    maps: opened.concepts.map((_, index) => maps.subarray(index * cells, (index + 1) * cells)),
  };
  const { probabilities, contributions } = opened.verdict;
  const first = {
    edits: [],
    kind: "",
    label: "",
    evidence: unedited(opened.concepts.length, cells),
    calls: opened.concepts.map(() => null),
    answer: base,
    semantics: null, // without edits, every semantics says the same
  };
  return {
    ...opened,
    source,
    base,
    shown: base,
    reasoning: readReasoning(opened),
    likeness: unpack(opened.likeness, Float32Array),
    resembles: unpack(opened.resembles, Uint16Array),
    order: probabilities
      .map((_, index) => index)
      .sort((one, other) => probabilities[other] - probabilities[one]),
    contributionScale: Math.max(0.5, ...contributions.flat().map(Math.abs)) * 1.2,
    comment: "",
    steps: [first],
    position: 0,
  };
}

/** What `reasonHere` needs of an opened case. */
function readReasoning(opened) {
  return {
    classes: opened.classes.length,
    concepts: opened.concepts.length,
    prototypes: opened.prototypes,
    cells: opened.grid[0] * opened.grid[1],
    similarity: unpack(opened.similarity, Float32Array),
    head: unpack(opened.head, Float64Array),
    absent: unpack(opened.absent, Float32Array),
    present: unpack(opened.present, Float32Array),
    base: opened.verdict.base,
    answers: opened.answers && {
      rejected: unpack(opened.answers.rejected, Float64Array),
      confirmed: unpack(opened.answers.confirmed, Float64Array),
      share: opened.answers.share,
    },
  };
}

async function requestOpening(source) {
  const model = ref("model").value;
  const request = source.file
    ? { binary: true, data: { model, picture: source.file } }
    : { model, case: source.name };
  return server.open_case(request);
}

/** Ask until the server answers; while it is away, keep trying only what is still wanted. */
async function persist(request, wanted) {
  for (let pause = 500; wanted(); pause = Math.min(2 * pause, 4000)) {
    const answer = await request();
    if (answer) {
      ref("banner").hidden = true;
      return answer;
    }
    ref("banner").hidden = false;
    await sleep(pause);
  }
  return null;
}

/** Ask about an open case, opening it again if the server has forgotten it. */
async function askAboutCase(entry, request, wanted) {
  const answer = await persist(request, wanted);
  if (!answer?.expired) return answer;
  const reopened = await persist(() => requestOpening(entry.source), wanted);
  if (!reopened?.key) return answer;
  entry.key = reopened.key;
  return persist(request, wanted);
}

/** Get the answer of a step, once however often it is asked for. */
function ask(entry, step) {
  step.asking ??= answerStep(entry, step).finally(() => (step.asking = null));
  return step.asking;
}

async function answerStep(entry, step) {
  const wanted = () => session.entry === entry && entry.steps.includes(step);
  const edits = editsOf(step.evidence, entry.concepts, entry.grid[1]);
  let answer, semantics;
  do {
    semantics = shownSemantics();
    const request = () => server.reason({ key: entry.key, edits, semantics });
    answer = await askAboutCase(entry, request, wanted);
  } while (answer && semantics !== shownSemantics());
  if (!answer) return;
  if (answer.error) {
    toast(answer.error);
    if (wanted()) goTo(entry.steps.indexOf(step) - 1);
    return;
  }
  const maps = entry.base.maps.map((map, index) =>
    answer.maps[index] ? unpack(answer.maps[index], Float32Array) : map
  );
  step.answer = { verdict: answer.verdict, maps };
  step.semantics = semantics;
}

/** Ask for what the history lacks, such as steps undone before their answer had come. */
async function fillHistory(entry) {
  for (const step of entry.steps) {
    if (step.answer || session.entry !== entry) continue;
    await ask(entry, step);
    if (session.entry === entry) history.update({ entry, diagnosis: session.diagnosis });
  }
}
