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
  ]; // stripes: where on a diagonal of PERIOD it turns black, coloured again, and so on
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
        tileContext.fillStyle = turns % 2 ? "#000" : colour;
        tileContext.fillRect(x, y, 1, 1);
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

  function show() {
    const cards = readings.map(buildCard);
    const none = make("p", { className: "dim", text: "Nobody has read this case yet." });
    ref("compare").replaceChildren(
      make("h2", {}, make("span", { text: "Readings" })),
      ...(cards.length ? cards : [none])
    );
  }

  function buildCard({ reader, annotation }, index) {
    const line = make("canvas", { width: 44, height: 12, "aria-hidden": "true" });
    const context = line.getContext("2d");
    context.fillStyle = inkOf(context, index);
    context.fillRect(0, 4, 44, 4);
    const take = make("button", { type: "button", text: "Take over" });
    take.setAttribute("aria-label", `Take the reading of ${reader} over`);
    take.addEventListener("click", () => takeOver(annotation));
    const { diagnosis, confidence, comment, status } = annotation;
    const sure = confidence ? ` (${confidence} of 5)` : "";
    const said = diagnosis ? pretty(diagnosis) + sure : "no diagnosis";
    const head = make("b", {}, line, make("span", { text: reader }));
    const state = make("small", { text: `${STATUS_SIGNS[status]} ${STATUS_WORDS[status]}` });
    return make(
      "article",
      {},
      make("header", {}, head, state),
      make("p", { text: said }),
      make("ul", {}, ...session.project.concepts.map((name) => buildMark(name, annotation))),
      ...(comment ? [make("p", { className: "dim", text: `“${comment}”` })] : []),
      take
    );
  }

  function buildMark(name, annotation) {
    const mark = annotation.concepts[name];
    if (!mark) return "";
    const button = make("button", { type: "button", title: `Take ${plain(name)} over` });
    const answer = mark.presence ? PRESENCE_WORDS[mark.presence] : "not said";
    button.append(
      make("span", { text: pretty(name) }),
      make("span", { text: [answer, share(mark)].filter(Boolean).join(", ") })
    );
    button.addEventListener("click", () => {
      takeMark(name, mark);
      reopenSurface();
    });
    return make("li", {}, button);
  }

  const takeMark = (concept, { presence, mask, boxes }) =>
    change("concept", { presence, mask, boxes }, { concept });

  function takeOver({ concepts, diagnosis, confidence }) {
    for (const concept of session.project.concepts)
      takeMark(concept, concepts[concept] ?? NOTHING);
    change("diagnosis", diagnosis);
    change("confidence", confidence);
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
        ["#000", 9],
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
