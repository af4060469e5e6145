// Who reads which project: asked once, remembered by the browser; and new projects, where the server
// offers folders to make them from.

function chosenProject() {
  return session.projects.find(({ name }) => name === ref("project").value);
}

function showInstructions() {
  const project = chosenProject();
  ref("instructions").textContent = project?.instructions ?? "";
}

function offerProjects({ projects, folders }) {
  const options = (names) => names.map((name) => make("option", { value: name, text: name }));
  session.projects = projects;
  ref("project").replaceChildren(...options(projects.map(({ name }) => name)));
  ref("newProject").hidden = !folders.length;
  ref("folder").replaceChildren(...options(folders));
}

/** Make a project of a folder, and choose it. */
async function makeProject() {
  const field = (name) => ref(name).value.trim();
  const request = {
    reader: session.account ?? (field("name") || "somebody"),
    folder: ref("folder").value,
    name: field("projectName"),
    concepts: field("projectConcepts"),
    classes: field("projectClasses"),
    instructions: field("projectInstructions"),
  };
  if (!request.name) return showProblem("Give the project a name.");
  ref("makeProject").disabled = true;
  const made = await server.annotate_make_project(request);
  ref("makeProject").disabled = false;
  if (!made || made.error) return showProblem(made?.error ?? "The server can't be reached.");
  offerProjects(made);
  ref("project").value = request.name;
  ref("newProject").open = false;
  showInstructions();
  const left = made.problems.length;
  showProblem(left ? [...made.problems.slice(0, 3), left > 3 ? "…" : ""].join(" ") : "");
}

function showProblem(sentence) {
  ref("signInProblem").hidden = !sentence;
  ref("signInProblem").textContent = sentence;
}

/** Ask who reads which project. */
function signIn() {
  const { reader, project } = session;
  ref("name").value = session.account ?? reader;
  ref("nameLabel").hidden = Boolean(session.account);
  ref("accountNote").hidden = !session.account;
  ref("accountNote").textContent = `You are signed in as ${session.account}.`;
  if (project) ref("project").value = project.name;
  showInstructions();
  showProblem("");
  if (!ref("signIn").open) ref("signIn").showModal();
  ref(session.account ? "startReading" : "name").focus();
}

/** Begin to read a project, at the case where this reader left it. */
async function read(reader, project) {
  if (session.entry) surface.close();
  session.reader = reader;
  session.project = project;
  session.entry = null;
  session.concept = 0;
  ref("who").textContent = `${reader} · ${project.name}`;
  const helpers = project.models.map(({ name, title }) => make("option", { value: name, text: title }));
  ref("helper").replaceChildren(...helpers);
  ref("helperChip").hidden = helpers.length < 2;
  ref("help").disabled = !helpers.length;
  buildPanel();
  queue.refresh();
  const last = readPlace().cases?.[[reader, project.name]];
  const first = { from: null, step: 1 };
  if (last && (await openCase({ case: last }))) return;
  if (await openCase(first)) return;
  queue.restore(); // the filter that was left leaves nothing
  queue.refresh();
  if (!(await openCase(first))) ref("waitingText").textContent = "There is no case to read.";
}

function wireSignIn() {
  ref("makeProject").addEventListener("click", makeProject);
  ref("project").addEventListener("change", showInstructions);
  ref("signIn").addEventListener("cancel", (event) => session.project || event.preventDefault());
  ref("signInForm").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = ref("name").value.trim();
    const problem = !name
      ? "Say who reads: everything is kept under a name."
      : name.toLowerCase() === "consensus"
        ? "“Consensus” stands for what readers agreed on; sign in by your own name."
        : "";
    showProblem(problem);
    if (problem || !chosenProject()) return;
    ref("signIn").close();
    read(name, chosenProject());
  });
}
