// What waits to be saved. Every change is kept in the browser first and sent from there, in order,
// until the server says that it has it: a closed tab or a dead server loses nothing. A change that
// is refused steps aside, so that it neither is lost nor holds up others.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5000;
const BATCH = 20;

/** A name that no other change has, also where a page is served without encryption. */
const changeKey = () => crypto.randomUUID?.() ?? freshId() + freshId();

/** Changes by their place in the order, in IndexedDB; in memory what the browser can't keep. */
function makeShelf() {
  let database = null;
  const unkept = new Map(); // by place, below zero
  let lastPlace = 0;

  const finished = (request) =>
    new Promise((done, failed) => {
      request.onsuccess = () => done(request.result);
      request.onerror = () => failed(request.error);
    });

  function openDatabase() {
    const request = indexedDB.open("csr-annotate", 1);
    request.onupgradeneeded = () => {
      const order = { keyPath: "place", autoIncrement: true };
      const waiting = request.result.createObjectStore("waiting", order);
      waiting.createIndex("reader", "reader");
      request.result.createObjectStore("refused", { keyPath: "place" });
    };
    return finished(request);
  }

  const all = async (name, index, value, most) => {
    if (!database) return [];
    const store = database.transaction(name).objectStore(name);
    return finished((index ? store.index(index) : store).getAll(value, most));
  };

  /** Do something to a shelf without waiting for a page that may be closed by then. */
  function write(name, act) {
    const store = database.transaction(name, "readwrite").objectStore(name);
    const request = act(store);
    store.transaction.commit();
    return finished(request);
  }

  async function remove({ place }) {
    if (!unkept.delete(place)) await write("waiting", (store) => store.delete(place));
  }

  return {
    async start() {
      try {
        database = await openDatabase();
      } catch {
        database = null;
      }
    },
    async add(change) {
      try {
        await write("waiting", (store) => store.add(change));
      } catch {
        const place = --lastPlace;
        unkept.set(place, { ...change, place });
      }
    },
    /** @param reader whose changes, or null for everybody's. */
    async oldest(reader) {
      const kept = await all("waiting", reader && "reader", reader, BATCH);
      return kept.length ? kept : [...unkept.values()];
    },
    waiting: async () => [...(await all("waiting")), ...unkept.values()],
    remove,
    /** Put a change aside, with the reason. */
    async refuse(change, reason) {
      if (database) await write("refused", (store) => store.put({ ...change, reason }));
      await remove(change);
    },
    refused: () => all("refused"),
    async clearRefused() {
      if (database) await write("refused", (store) => store.clear());
    },
    async count() {
      if (!database) return unkept.size;
      const store = database.transaction("waiting").objectStore("waiting");
      return unkept.size + (await finished(store.count()));
    },
    /** Whether closing the page would lose something. */
    passing: () => unkept.size > 0,
  };
}

/**
 * Sends what is on the shelf.
 *
 * @param send (change): answers what the server says, nothing if it can't be reached.
 * @param on {state({waiting, reachable, problem, refused}), saved(change)}.
 */
function makeOutbox(send, on) {
  const shelf = makeShelf();
  const state = { waiting: 0, reachable: true, problem: "", refused: [] };
  let account = null; // whose changes may be sent, where people have to sign in
  let running = false;
  let wanted = false;
  let wake = () => {};

  async function tell() {
    [state.waiting, state.refused] = await Promise.all([shelf.count(), shelf.refused()]);
    on.state({ ...state });
  }

  /** One tab at a time sends; without locks the server still keeps each change once. */
  const alone = (act) => (navigator.locks ? navigator.locks.request("csr-annotate", act) : act());

  /** Send some changes. @returns whether there may be more, or null if the server is away. */
  async function sendSome() {
    const changes = await shelf.oldest(account);
    for (const change of changes) {
      const answer = await send(change);
      state.reachable = Boolean(answer);
      state.problem = answer?.again ? answer.error : "";
      if (!answer || answer.again) return null;
      if (answer.error) await shelf.refuse(change, answer.error);
      else await shelf.remove(change);
      await tell();
      if (!answer.error) on.saved(change);
    }
    return changes.length > 0;
  }

  async function run() {
    wanted = true;
    if (running) return wake();
    running = true;
    let pause = FIRST_PAUSE;
    while (wanted) {
      wanted = false;
      const more = await alone(sendSome).catch(() => null); // the browser's shelf may fail, too
      if (more === null) {
        await tell().catch(() => null);
        await Promise.race([sleep(pause), new Promise((done) => (wake = done))]);
        pause = Math.min(2 * pause, LONGEST_PAUSE);
        wanted = true;
      } else if (more) {
        pause = FIRST_PAUSE;
        wanted = true;
      }
    }
    running = false;
  }

  addEventListener("online", () => run());
  addEventListener("beforeunload", (event) => {
    if (shelf.passing()) event.preventDefault();
  });

  return {
    async start(whose) {
      account = whose;
      await shelf.start();
      await tell();
      run();
    },
    async add(change) {
      state.waiting += 1;
      on.state({ ...state });
      await shelf.add({ ...change, key: changeKey() });
      run();
    },
    /** What still waits, the oldest first. */
    waiting: () => shelf.waiting(),
    async retryRefused() {
      const refused = await shelf.refused();
      for (const { place, reason, ...change } of refused) await shelf.add(change);
      await shelf.clearRefused();
      run();
    },
    async discardRefused() {
      await shelf.clearRefused();
      await tell();
    },
  };
}
