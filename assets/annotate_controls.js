// Buttons, keys and sections of the annotate page, and the start of it all.

const ANNOTATE_KEYS = {
  y: () => setPresence(chosenConcept(), "yes"),
  n: () => setPresence(chosenConcept(), "no"),
  u: () => setPresence(chosenConcept(), "unsure"),
  p: () => surface.tool("patch"),
  b: () => surface.tool("brush"),
  l: () => surface.tool("polygon"),
  x: () => surface.tool("box"),
  e: () => surface.tool("eraser"),
  d: () => finish("done"),
  s: () => finish("skipped"),
  f: () => change("flagged", !session.entry.annotation.flagged),
  r: () => reopen(),
  c: () => ref("comment").focus(),
  m: () => assist.next(),
  a: () => assist.accept(),
  q: () => assist.reject(),
  w: () => assist.goElsewhere(),
  v: () => settle.toggle(),
  j: () => openNeighbour(1),
  k: () => openNeighbour(-1),
  arrowright: () => openNeighbour(1),
  arrowleft: () => openNeighbour(-1),
  "-": () => shiftConfidence(-1),
  "+": () => shiftConfidence(1),
  "=": () => shiftConfidence(1), // the same key as +, without Shift
  "/": () => ref("search").focus(),
  "?": () => ref("keySheet").showModal(),
};
const SECTIONS = ["work", "readers", "data"];

const MOST_HELD = 30;
const heldKeys = []; // pressed while a case is being opened: they are meant for that one

function pressHeldKeys() {
  while (heldKeys.length && studio.dataset.state === "open") pressKey(heldKeys.shift());
}

function handleKey(event) {
  if (!element.isConnected || element.querySelector("dialog[open]")) return;
  if (event.target.closest?.("select, textarea, input")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.target.closest?.("[role=tab]") && event.key.startsWith("Arrow")) return;
  if (event.metaKey || event.altKey || studio.dataset.page !== "work" || !session.entry) return;
  if (studio.dataset.state === "opening" && !event.ctrlKey) {
    if (event.key === "Escape") stay();
    else if (heldKeys.length < MOST_HELD && !event.repeat) heldKeys.push(event);
    event.preventDefault();
  } else pressKey(event);
}

function pressKey(event) {
  if (surface.key(event) || event.ctrlKey) return;
  const key = event.key.toLowerCase();
  if (event.repeat && !key.startsWith("arrow")) return; // a key held down is not pressed twice
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
  if (digit && event.shiftKey) setDiagnosis(digit - 1);
  else if (/^[1-9]$/.test(key)) chooseConcept(key - 1);
  else if (key === "a" && event.shiftKey) assist.acceptAll();
  else if (ANNOTATE_KEYS[key]) ANNOTATE_KEYS[key]();
  else return;
  event.preventDefault();
}

function showSection(name) {
  studio.dataset.page = name;
  for (const section of SECTIONS) {
    const tab = element.querySelector("#tab-" + section);
    tab.setAttribute("aria-selected", section === name);
    tab.tabIndex = section === name ? 0 : -1;
    element.querySelector("#page-" + section).hidden = section !== name;
  }
  if (session.project) sheets.show(name);
}

function setTheme(name) {
  studio.dataset.theme = name;
  try {
    localStorage.setItem("csr-theme", name);
  } catch {
    // a browser that refuses storage merely forgets the theme
  }
}

function wireSections() {
  SECTIONS.forEach((section, index) => {
    const tab = element.querySelector("#tab-" + section);
    tab.addEventListener("click", () => showSection(section));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
      if (!step) return;
      const other = SECTIONS[(index + step + SECTIONS.length) % SECTIONS.length];
      showSection(other);
      element.querySelector("#tab-" + other).focus();
    });
  });
}

function wireAnnotating() {
  document.addEventListener("keydown", handleKey);
  wireSections();
  for (const button of ref("tools").querySelectorAll("[data-tool]"))
    button.addEventListener("click", () => surface.tool(button.dataset.tool));
  const actions = {
    size: () => surface.resize(1),
    undo: () => surface.undo(),
    redo: () => surface.redo(),
    zoom: () => surface.fit(),
    skip: () => finish("skipped"),
    flag: ANNOTATE_KEYS.f,
    done: () => finish("done"),
    previous: () => openNeighbour(-1),
    next: () => openNeighbour(1),
    keys: ANNOTATE_KEYS["?"],
    who: () => signIn(),
    theme: () => setTheme(studio.dataset.theme === "dark" ? "light" : "dark"),
    retryRefused: () => outbox.retryRefused(),
    discardRefused: () => outbox.discardRefused(),
  };
  for (const [name, action] of Object.entries(actions))
    ref(name).addEventListener("click", () => action());
  ref("comment").addEventListener("change", leaveComment);
  for (const select of element.querySelectorAll(".top select, .queue select"))
    select.addEventListener("change", () => select.blur()); // keys go on to the case
  addEventListener("pagehide", leaveComment);
}

async function begin() {
  try {
    studio.dataset.theme = localStorage.getItem("csr-theme") ?? "dark";
  } catch {
    // as above
  }
  wireAnnotating();
  wireSignIn();
  const started = await persist(() => server.annotate_start({}));
  if (started.error) return toast(started.error);
  if (started.login) return location.assign(started.login);
  session.account = started.account;
  offerProjects(started);
  await outbox.start(session.account);
  const place = readPlace();
  queue.restore(place.view);
  if (place.help) ref("help").value = place.help;
  const reader = session.account ?? place.reader;
  const project = session.projects.find(({ name }) => name === place.project);
  studio.dataset.state = "ready";
  if (reader && project) read(reader, project);
  else signIn();
}

begin();
