// Buttons, keys, pages, uploads: everything that a person can press, and the start of it all.

const KEYS = {
  v: () => chooseTool("inspect"),
  s: () => chooseTool("suppress"),
  f: () => chooseTool("force"),
  i: () => chooseTool("ignore"),
  o: () => chooseTool("focus"),
  e: () => chooseTool("erase"),
  x: () => chooseBoxes(!session.boxes),
  d: () => worklist.toggle(),
  r: () => goTo(0),
  w: () => changeAnswer(),
  b: () => setBlind(!session.blind),
  p: () => setPresenting(!studio.hasAttribute("data-presenting")),
  escape: () => {
    if (!ref("noticeList").hidden) showNoticeList(false);
    else if (!ref("suggestion").hidden) suggestion.close();
    else if (studio.hasAttribute("data-presenting")) setPresenting(false);
  },
  h: () => chooseOverlay(session.overlay === "heat" ? "contour" : "heat"),
  0: () => canvas.resetZoom(),
  "[": () => chooseBrush(session.brush - 1),
  "]": () => chooseBrush(session.brush + 1),
  arrowleft: () => openNeighbour(-1),
  arrowup: () => openNeighbour(-1),
  arrowright: () => openNeighbour(1),
  arrowdown: () => openNeighbour(1),
};

function handleKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !element.isConnected) return;
  if (event.target.closest?.("select, textarea, [role=tab]") || studio.dataset.page === "about") return;
  const key = event.key.toLowerCase();
  if (event.target.type === "range" && key.startsWith("arrow")) return;
  if (key === "z" && session.entry) goTo(session.entry.position + (event.shiftKey ? 1 : -1));
  else if (/^[1-9]$/.test(key)) (mustCallFirst() ? makeCall : chooseConcept)(Number(key) - 1);
  else if (KEYS[key]) KEYS[key]();
  else return;
  event.preventDefault();
}

function showPage(name) {
  studio.dataset.page = name;
  for (const page of ["review", "about"]) {
    const tab = element.querySelector("#tab-" + page);
    tab.setAttribute("aria-selected", page === name);
    tab.tabIndex = page === name ? 0 : -1;
    element.querySelector("#page-" + page).hidden = page !== name;
  }
}

function setTheme(name) {
  studio.dataset.theme = name;
  try {
    localStorage.setItem("csr-theme", name);
  } catch {
    // a browser that refuses storage merely forgets the theme
  }
}

function wireControls() {
  document.addEventListener("keydown", handleKey);
  for (const button of ref("tools").querySelectorAll("[data-tool]"))
    button.addEventListener("click", () => chooseTool(button.dataset.tool));
  ref("brush").addEventListener("click", () => chooseBrush((session.brush + 1) % BRUSHES.length));
  ref("box").addEventListener("click", KEYS.x);
  ref("changeAnswer").addEventListener("click", changeAnswer);
  wireNotices();
  ref("question").addEventListener("click", lookAtQuestion);
  wireKeeping();
  ref("undo").addEventListener("click", () => goTo(session.entry.position - 1));
  ref("redo").addEventListener("click", () => goTo(session.entry.position + 1));
  ref("reset").addEventListener("click", () => goTo(0));
  for (const button of ref("overlayKinds").children)
    button.addEventListener("click", () => chooseOverlay(button.dataset.overlay));
  ref("opacity").addEventListener("input", ({ target }) =>
    canvas.overlay.setOpacity(target.value / 100)
  );
  ref("threshold").addEventListener("input", ({ target }) => setThreshold(target.value / 100));
  ref("zoom").addEventListener("click", () => canvas.resetZoom());
  ref("model").addEventListener("change", changeModel);
  ref("semantics").addEventListener("change", changeSemantics);
  ref("theme").addEventListener("click", () =>
    setTheme(studio.dataset.theme === "dark" ? "light" : "dark")
  );
  ref("blind").addEventListener("click", KEYS.b);
  ref("present").addEventListener("click", KEYS.p);
  studio.addEventListener("pointermove", (event) => {
    ref("halo").style.translate = `${event.clientX}px ${event.clientY}px`;
  });
  for (const page of ["review", "about"]) {
    const tab = element.querySelector("#tab-" + page);
    tab.addEventListener("click", () => showPage(page));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = page === "review" ? "about" : "review";
      showPage(other);
      element.querySelector("#tab-" + other).focus();
    });
  }
  wireUploads();
  const stops = Array.from({ length: 17 }, (_, stop) => `rgb(${cividis(stop / 16).join(" ")})`);
  ref("scale").style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
}

function wireUploads() {
  ref("upload").addEventListener("click", () => ref("file").click());
  ref("file").addEventListener("change", (event) => {
    openFile(event.target.files[0]);
    event.target.value = "";
  });
  document.addEventListener("paste", (event) => openFile(event.clipboardData?.files[0]));
  studio.addEventListener("dragover", (event) => {
    event.preventDefault();
    studio.dataset.dropping = "";
  });
  studio.addEventListener("dragleave", (event) => {
    if (!studio.contains(event.relatedTarget)) delete studio.dataset.dropping;
  });
  studio.addEventListener("drop", (event) => {
    event.preventDefault();
    delete studio.dataset.dropping;
    openFile(event.dataTransfer.files[0]);
  });
}

async function begin() {
  try {
    studio.dataset.theme = localStorage.getItem("csr-theme") ?? "dark";
  } catch {
    // as above
  }
  wireControls();
  chooseTool("inspect");
  chooseBrush(0);
  chooseOverlay("heat");
  canvas.overlay.setOpacity(ref("opacity").value / 100);
  setThreshold(ref("threshold").value / 100);
  const started = await persist(
    () => server.start({}),
    () => true
  );
  session.sources = started.cases.map((source) => ({ ...source, id: "bundled/" + source.name }));
  ref("model").replaceChildren(
    ...started.models.map(({ name, title }) => make("option", { value: name, text: title }))
  );
  await memory.start();
  const kept = await memory.load();
  const current = restoreReview(kept);
  buildStrip();
  await open(current ?? session.sources[0]);
  if (!kept.size) offerLeftReview();
}

begin();
