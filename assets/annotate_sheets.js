// What comes of the readings: how far each reader is, how far they agree, files to take away, and
// whether it is time to train the next model.

const sheets = makeSheets();

function makeSheets() {
  const KINDS = [
    ["folder", "Data set", "images, labels and masks; what a model is trained on"],
    ["coco", "COCO", "regions and boxes as COCO instances"],
    ["masks", "Masks", "a PNG a concept and image"],
    ["imagefolder", "Hugging Face", "an imagefolder with metadata"],
    ["csv", "Table", "a row a reading, of every reader"],
  ];

  let agreed = null; // what the server last said of it

  /** A table of texts; cells that are numbers stand to the right. */
  function fillTable(table, columns, rows) {
    const head = make("tr", {}, ...columns.map((text) => make("th", { text, scope: "col" })));
    const body = rows.map(([name, ...cells]) =>
      make(
        "tr",
        {},
        make("th", { text: name, scope: "row" }),
        ...cells.map((text) =>
          make("td", { text, className: typeof text === "number" ? "num" : "" })
        )
      )
    );
    table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
  }

  async function showReaders() {
    const request = asking();
    const found = await persist(() => server.annotate_queue({ ...request, offset: 0 }));
    if (found.error) return toast(found.error);
    const columns = ["Reader", "Done", "Open", "Skipped", "Flagged", "Left"];
    const rows = found.progress.map(({ reader, done, open, skipped, flagged, cases }) => [
      ...[reader, done, open, skipped, flagged],
      cases - done - skipped,
    ]);
    fillTable(ref("progressTable"), columns, rows);
    offerReaders(found.progress);
    ref("agreementNote").textContent = "Comparing the readings …";
    agreed = await persist(() => server.annotate_agreement(request));
    if (agreed.error) return toast(agreed.error);
    const { readers, cases, pairs } = agreed;
    const enough = readers.length > 1 && cases > 0;
    ref("agreementNote").textContent = enough
      ? `${plural(cases, "case is", "cases are")} done by two readers or more. ` +
        "In brackets: 95 % bootstrap intervals over these cases."
      : "No case is done by two readers yet, so there is nothing to compare.";
    const names = pairs.map((pair) => pair.readers.join(" and "));
    ref("pair").replaceChildren(
      ...names.map((text, value) => make("option", { value, text }))
    );
    ref("pairChip").hidden = !enough || pairs.length < 2;
    showPair();
  }

  /** The agreement of all readers, and beside it that of the two that are chosen. */
  function showPair() {
    const pair = agreed.pairs[ref("pair").value];
    if (!agreed.cases || !pair) return ref("agreementTable").replaceChildren();
    const between = pair.readers.join(" – ");
    const columns = ["", "All: Fleiss’ κ", `${between}: Cohen’s κ`, `${between}: Dice`];
    const row = (name, all, two, dice) => [name, told(all), told(two), dice ? told(dice) : ""];
    const concepts = session.project.concepts.map((name) =>
      row(pretty(name), agreed.presence[name], pair.presence[name], pair.regions[name])
    );
    const rows = [row("Diagnosis", agreed.diagnosis, pair.diagnosis), ...concepts];
    fillTable(ref("agreementTable"), columns, rows);
  }

  /** A figure with its interval; how many cases it is taken over, or why there is none. */
  function told({ value, interval, cases, note }) {
    if (value === null) return note;
    const ends = interval ? ` [${interval.map(figure).join(", ")}]` : "";
    return `${figure(value)}${ends}, ${plural(cases, "case", "cases")}`;
  }

  function offerReaders(progress) {
    const names = progress.map(({ reader }) => reader).filter((name) => name !== "consensus");
    const chosen = ref("exportReader").value;
    ref("exportReader").replaceChildren(
      make("option", { value: "", text: "Consensus, else the majority" }),
      ...names.map((name) => make("option", { value: name, text: `Consensus, else ${name}` }))
    );
    ref("exportReader").value = names.includes(chosen) ? chosen : "";
  }

  async function download(kind, button) {
    button.disabled = true;
    ref("exportNote").textContent = "Writing the file …";
    const whose = ref("exportReader").value || null;
    const made = await server.annotate_export({ ...asking(), kind, whose });
    button.disabled = false;
    if (!made || made.error) {
      ref("exportNote").textContent = made?.error ?? "The server can't be reached; try again.";
      return;
    }
    const link = make("a", { href: made.url, download: made.name });
    link.click();
    ref("exportNote").textContent = `${made.name} is on its way.`;
  }

  async function showTraining() {
    const model = ref("helper").value;
    const place = ref("training");
    if (!model)
      return place.replaceChildren(
        make("p", { text: "No model here knows a concept of this project; train one on an export." })
      );
    place.replaceChildren(make("p", { className: "dim", text: "Counting the marks …" }));
    const found = await persist(() => server.annotate_training({ ...asking(), model }));
    if (found.error) return place.replaceChildren(make("p", { text: found.error }));
    const counted =
      `${plural(found.cases, "case is", "cases are")} done, with ${plural(found.marks, "mark", "marks")}; ` +
      `new since the model was trained: ${plural(found.new_cases, "case", "cases")}, ` +
      `${plural(found.new_marks, "mark", "marks")}.`;
    const verdict = found.worthwhile
      ? "✓ That is enough to train on. On the server, run:"
      : (found.missing ?? found.rule);
    const copy = make("button", { type: "button", text: "Copy" });
    copy.addEventListener("click", () => navigator.clipboard?.writeText(found.command));
    const command = make("code", { text: found.command, tabindex: "0" });
    place.replaceChildren(
      make("p", { text: counted }),
      make("p", { className: found.worthwhile ? "worthwhile" : "dim", text: verdict }),
      make("div", { className: "command" }, command, copy),
      ...(found.changed ? [make("p", { text: "What the last training changed. " + found.changed })] : [])
    );
  }

  async function showData() {
    const found = await persist(() => server.annotate_queue({ ...asking(), offset: 0 }));
    if (!found.error) offerReaders(found.progress);
    showTraining();
  }

  const buttons = KINDS.map(([kind, name, what]) => {
    const button = make("button", { type: "button" }, make("b", { text: name }), make("small", { text: what }));
    button.dataset.kind = kind;
    button.addEventListener("click", () => download(kind, button));
    return button;
  });
  ref("exportKinds").replaceChildren(...buttons);
  ref("pair").addEventListener("change", showPair);

  return {
    show(section) {
      if (section === "readers") showReaders();
      if (section === "data") showData();
    },
  };
}
