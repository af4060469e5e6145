// The worklist on the left: which cases there are, where each reader is with them, and the way on.

const QUEUE_PAGE = 100;
const REFRESH = 5000; // how soon another reader's progress shows
const queue = makeQueue();

function makeQueue() {
  let offset = 0;
  let page = { rows: [], total: 0, progress: [] };
  let asked = 0;
  let soon = 0;

  function view() {
    const text = ref("search").value.trim();
    return { status: ref("status").value, order: ref("order").value, text };
  }

  /** Ask for the page that is shown; while the server is away, the last answer stays. */
  async function refresh() {
    if (!session.project) return;
    const mine = ++asked;
    const found = await server.annotate_queue({ ...asking(), ...view(), offset });
    if (!found || mine !== asked) return;
    if (found.error) return toast(found.error);
    page = found;
    show();
  }

  function refreshSoon() {
    clearTimeout(soon);
    soon = setTimeout(refresh, 120);
  }

  function buildRow({ case: id, image_id, status, flagged, others }) {
    const sign = make("span", { className: "sign " + status, text: STATUS_SIGNS[status] });
    const own = STATUS_WORDS[status] + (flagged ? " ⚑ flagged" : "");
    const beside = others.map(([name, theirs]) => `${STATUS_SIGNS[theirs]} ${name}`);
    const told = others.map(([name, theirs]) => `${name}: ${STATUS_WORDS[theirs]}`);
    const words = make(
      "span",
      { className: "words" },
      make("span", { className: "name", text: image_id }),
      make("small", {
        text: [own, ...beside].join(" · "),
        title: [own, ...told].join("\n"),
      })
    );
    const button = make("button", { type: "button" }, sign, words);
    button.dataset.case = id;
    button.addEventListener("click", () => {
      leaveComment();
      openCase({ case: id });
    });
    return make("li", {}, button);
  }

  function show() {
    ref("rows").replaceChildren(...page.rows.map(buildRow));
    if (!page.rows.length)
      ref("rows").append(make("li", { className: "dim", text: "No case is like that." }));
    const last = Math.min(offset + page.rows.length, page.total);
    ref("pager").hidden = page.total <= QUEUE_PAGE;
    ref("pageText").textContent = `${offset + 1} – ${last} of ${page.total}`;
    ref("pageBack").disabled = offset === 0;
    ref("pageOn").disabled = last >= page.total;
    showProgress();
    showCurrent();
  }

  function showProgress() {
    const writer = session.consensus ? "consensus" : session.reader;
    const same = ({ reader }) => reader.toLowerCase() === writer.toLowerCase();
    const own = page.progress.find(same) ?? { done: 0, cases: session.project.cases };
    ref("progress").textContent = `${own.done} of ${own.cases} done`;
    ref("bar").style.width = (own.cases ? (100 * own.done) / own.cases : 0) + "%";
    ref("bar").parentElement.title = page.progress
      .map(({ reader, done, cases }) => `${reader}: ${done} of ${cases} done`)
      .join("\n");
  }

  function showCurrent() {
    for (const button of ref("rows").querySelectorAll("button"))
      if (Number(button.dataset.case) === session.entry?.case) {
        button.setAttribute("aria-current", "true");
        button.scrollIntoView({ block: "nearest" });
      } else button.removeAttribute("aria-current");
  }

  function turn(to) {
    offset = Math.max(0, to);
    refresh();
  }

  /** Orders other than as listed are a model's, which may have to look at every case first. */
  async function order() {
    turn(0);
    const model = ref("helper").value;
    if (ref("order").value === "listed") return;
    if (!model) return toast("No model here knows a concept of this project.");
    const found = await server.annotate_rank({ ...asking(), model });
    if (found?.error) toast(found.error);
    else if (!found?.ranked)
      toast("The model is looking through the cases; they stay as listed until it is done.", "note");
    refresh();
  }

  ref("status").addEventListener("change", () => turn(0));
  ref("order").addEventListener("change", order);
  ref("search").addEventListener("input", () => turn(0));
  ref("pageBack").addEventListener("click", () => turn(offset - QUEUE_PAGE));
  ref("pageOn").addEventListener("click", () => turn(offset + QUEUE_PAGE));
  setInterval(() => document.hidden || !studio.isConnected || refresh(), REFRESH);

  return {
    view,
    refresh: () => turn(0),
    refreshSoon,
    restore({ status = "all", order = "listed", text = "" } = {}) {
      ref("status").value = status;
      ref("order").value = order;
      ref("search").value = text;
    },
    /** Show that a case was opened, turning to its page where that is known. */
    follow({ position }) {
      const { status, order, text } = view();
      const known = status === "all" && order === "listed" && !text;
      const start = position - (position % QUEUE_PAGE);
      if (known && start !== offset) turn(start);
      else showCurrent();
    },
    /** Show what was just done to a case, before the server says so. */
    note({ case: id, annotation }) {
      const row = page.rows.find((each) => each.case === id);
      if (!row || session.consensus) return;
      row.status = annotation.status;
      row.flagged = annotation.flagged;
      const at = page.rows.indexOf(row);
      ref("rows").children[at]?.replaceWith(buildRow(row));
      showCurrent();
    },
  };
}
