// Settling on one reading: what every reader said of the open case side by side, their regions in
// one picture, each in a colour and a dash of its own; taken over or drawn anew, it is the consensus.

const settle = makeSettle();

function makeSettle() {
  const READERS = [
    { colour: "#59c3ff", stripes: [] },
    { colour: "#ffb347", stripes: [10] },
    { colour: "#ff7ab8", stripes: [4] },
    { colour: "#7fe08a", stripes: [14, 20] },
    { colour: "#c6a4ff", stripes: [4, 12] },
  ]; // stripes: where along a diagonal of PERIOD the colour stops, goes on, and so on
  const PERIOD = 24;
  const FINENESS = 512; // along the longer side, of outlines that are compared by eye
  const outlines = make("canvas", { className: "outlines", "aria-hidden": "true" });
  let readings = [];
  let asked = 0;

  /** The ink of a reader: a colour in stripes, so that colour alone tells nobody apart. */
  function inkOf(context, index) {
    const { colour, stripes } = READERS[index % READERS.length];
    const tile = make("canvas", { width: PERIOD, height: PERIOD });
    const tileContext = tile.getContext("2d");
    for (let x = 0; x < PERIOD; x++)
      for (let y = 0; y < PERIOD; y++) {
        const turns = stripes.filter((turn) => (x + y) % PERIOD >= turn).length;
        tileContext.fillStyle = colour;
        if (turns % 2 === 0) tileContext.fillRect(x, y, 1, 1);
      }
    return context.createPattern(tile, "repeat");
  }

  async function toggle() {
    session.consensus = !session.consensus;
    press(ref("compareToggle"), session.consensus);
    ref("compare").hidden = !session.consensus;
    leaveComment();
    if (session.entry) await openCase({ case: session.entry.case });
    queue.refreshSoon();
  }

  async function follow(entry) {
    readings = [];
    ref("compare").replaceChildren();
    paint();
    if (!session.consensus) return;
    const mine = ++asked;
    const found = await persist(
      () => server.annotate_readings({ ...asking(), case: entry.case }),
      () => mine === asked && session.entry === entry
    );
    if (!found || mine !== asked || session.entry !== entry) return;
    if (found.error) return toast(found.error);
    readings = found.readings;
    show();
    paint();
  }

  /** A table: a column a reader, a row for the diagnosis and each concept. */
  function show() {
    if (!readings.length) {
      const none = make("p", { className: "dim", text: "Nobody has read this case yet." });
      return ref("compare").replaceChildren(none);
    }
    const rows = [
      buildRow("Diagnosis", readings.map(sayDiagnosis), (index) => takeDiagnosis(index)),
      ...session.project.concepts.map((name) =>
        buildRow(pretty(name), readings.map(sayConcept(name)), (index) => {
          takeMark(name, readings[index].annotation.concepts[name] ?? NOTHING);
          reopenSurface();
        })
      ),
      buildTaking(),
    ];
    const head = make("tr", {}, make("th", { text: "" }), ...readings.map(buildReader));
    ref("compare").replaceChildren(
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))
    );
  }

  function buildReader({ reader, annotation: { status, comment } }, index) {
    const line = make("canvas", { width: 60, height: 10, "aria-hidden": "true" });
    const context = line.getContext("2d");
    context.fillStyle = inkOf(context, index);
    context.fillRect(0, 3, 60, 4);
    const told = [reader, STATUS_WORDS[status], comment && `“${comment}”`].filter(Boolean);
    const name = `${STATUS_SIGNS[status]} ${reader}${comment ? " …" : ""}`;
    return make("th", { scope: "col", title: told.join("\n") }, line, name);
  }

  const sayDiagnosis = ({ annotation: { diagnosis, confidence } }) => [
    diagnosis ? pretty(diagnosis) : "–",
    confidence ? `${confidence} of 5` : "",
  ];
  const sayConcept =
    (name) =>
    ({ annotation }) => {
      const mark = annotation.concepts[name] ?? NOTHING;
      return [mark.presence ? PRESENCE_WORDS[mark.presence] : "–", share(mark)];
    };

  /** @param said by reader: what, and how sure or how much. */
  function buildRow(title, said, take) {
    const cells = said.map(([what, more], index) => {
      const button = make("button", { type: "button" }, make("b", { text: what }));
      if (more) button.append(make("br"), more);
      const { reader } = readings[index];
      button.title = `Take over what ${reader} says of it`;
      button.setAttribute("aria-label", `${title}, ${reader}: ${[what, more].join(" ")}; take over`);
      button.addEventListener("click", () => take(index));
      return make("td", {}, button);
    });
    const row = make("tr", {}, make("th", { text: title, scope: "row" }), ...cells);
    row.toggleAttribute("data-differs", new Set(said.map(([what]) => what)).size > 1);
    return row;
  }

  function buildTaking() {
    const cells = readings.map(({ reader, annotation }) => {
      const button = make("button", { type: "button", className: "take", text: "Take all" });
      button.setAttribute("aria-label", `Take the reading of ${reader} over`);
      button.addEventListener("click", () => takeOver(annotation));
      return make("td", {}, button);
    });
    return make("tr", {}, make("td"), ...cells);
  }

  function takeDiagnosis(index) {
    const { diagnosis, confidence } = readings[index].annotation;
    change("diagnosis", diagnosis);
    change("confidence", confidence);
  }

  const takeMark = (concept, { presence, mask, boxes }) =>
    change("concept", { presence, mask, boxes }, { concept });

  function takeOver(annotation) {
    for (const concept of session.project.concepts)
      takeMark(concept, annotation.concepts[concept] ?? NOTHING);
    change("diagnosis", annotation.diagnosis);
    change("confidence", annotation.confidence);
    reopenSurface();
  }

  /** The surface shows what was taken over. */
  const reopenSurface = () => openCase({ case: session.entry.case });

  /** Corners of a region as lines on a grid that is coarse enough to be drawn at once. */
  function outlineOf({ size: [height, width], counts }) {
    const bits = regionOfMask({ size: [height, width], counts }, height, width).bits;
    const scale = Math.min(1, FINENESS / Math.max(height, width));
    const [rows, columns] = [height, width].map((side) => Math.max(1, Math.round(side * scale)));
    const is = (row, column) => {
      if (row < 0 || column < 0 || row >= rows || column >= columns) return 0;
      const y = Math.floor(((row + 0.5) * height) / rows);
      const x = Math.floor(((column + 0.5) * width) / columns);
      return bits[x * height + y];
    };
    const path = new Path2D();
    const sides = [
      [(row, column) => [row, column], (line, from, to) => [from, line, to, line], rows, columns],
      [(column, row) => [row, column], (line, from, to) => [line, from, line, to], columns, rows],
    ];
    for (const [place, ends, lines, length] of sides)
      for (let line = 0; line <= lines; line++)
        for (let at = 0; at < length; at++) {
          const differs = () => is(...place(line - 1, at)) !== is(...place(line, at));
          if (!differs()) continue;
          const from = at;
          while (at < length && differs()) at++;
          const [x0, y0, x1, y1] = ends(line, from, at);
          path.moveTo(x0, y0);
          path.lineTo(x1, y1);
        }
    return { path, rows, columns };
  }

  function paint() {
    const frame = ref("surface").querySelector(".frame");
    if (outlines.parentElement !== frame) frame.append(outlines);
    outlines.hidden = !session.consensus;
    const { entry } = session;
    if (!entry || !session.consensus) return;
    const scale = (2 * FINENESS) / Math.max(entry.height, entry.width);
    outlines.width = Math.round(entry.width * scale);
    outlines.height = Math.round(entry.height * scale);
    const context = outlines.getContext("2d");
    readings.forEach(({ annotation }, index) => {
      const mark = annotation.concepts[chosenConcept()];
      if (!mark) return;
      const shape = new Path2D();
      if (mark.mask) {
        const { path, rows, columns } = outlineOf(mark.mask);
        const stretch = new DOMMatrix().scale(outlines.width / columns, outlines.height / rows);
        shape.addPath(path, stretch);
      }
      for (const [left, top, right, bottom] of mark.boxes)
        shape.rect(
          left * outlines.width,
          top * outlines.height,
          (right - left) * outlines.width,
          (bottom - top) * outlines.height
        );
      for (const [ink, width] of [
        ["#0007", 8],
        [inkOf(context, index), 5],
      ]) {
        Object.assign(context, { strokeStyle: ink, lineWidth: width, lineCap: "square" });
        context.stroke(shape);
      }
    });
  }

  ref("compareToggle").addEventListener("click", toggle);
  return { toggle, follow, paint };
}
