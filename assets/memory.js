// What outlives the page. The browser keeps the review of each tab, and nobody else does: a reload,
// a crash or a restarted server loses nothing of it.

const REMEMBERED_FOR = 24 * 3600 * 1000;
const CLAIM_PATIENCE = 1000; // a page that is being reloaded may hold its claim a moment longer

/** A name that nothing else has, also where `crypto.randomUUID` is missing. */
function freshId() {
  return Date.now().toString(36) + Math.random().toString(36).slice(2);
}

/**
 * Records by name, one set a tab, in IndexedDB.
 *
 * @param onFailure (): called once, when something could not be kept.
 */
function makeMemory(onFailure) {
  let tab = null;
  let database = null; // stays null where the browser keeps nothing
  let complained = false;

  const finished = (request) =>
    new Promise((done, failed) => {
      request.onsuccess = () => done(request.result);
      request.onerror = () => failed(request.error);
    });
  const records = (mode) => database.transaction("records", mode).objectStore("records");
  const allOf = (owner) => IDBKeyRange.bound([owner], [owner, []]); // keys are [tab, name]
  const lockOf = (owner) => "csr-studio " + owner;

  function openDatabase() {
    const request = indexedDB.open("csr-studio", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("records");
    return finished(request);
  }

  /** Whether this page may be the tab of that name: a duplicated tab has the name of another. */
  function claim(owner) {
    if (!navigator.locks) return true; // it is missing where a page is served without encryption
    return new Promise((answer) => {
      const hold = () => {
        answer(true);
        return new Promise(() => {}); // until the page is closed
      };
      const signal = AbortSignal.timeout(CLAIM_PATIENCE);
      navigator.locks.request(lockOf(owner), { signal }, hold).catch(() => answer(false));
    });
  }

  async function isOpen(owner) {
    const { held } = await navigator.locks.query();
    return held.some(({ name }) => name === lockOf(owner));
  }

  const forget = (owner = tab) => database && finished(records("readwrite").delete(allOf(owner)));

  return {
    /** Find out who we are; without an answer nothing is kept, and all else works. */
    async start() {
      try {
        database = await openDatabase();
        tab = sessionStorage.getItem("csr-tab");
        if (tab && (await claim(tab))) return;
        tab = freshId();
        sessionStorage.setItem("csr-tab", tab);
        await claim(tab);
      } catch {
        database = null;
      }
    },
    /** @param values by name; all of them are kept, or none. */
    async save(values) {
      if (!database) return;
      try {
        const store = records("readwrite");
        const puts = Object.entries(values).map(([name, value]) => store.put(value, [tab, name]));
        store.transaction.commit(); // so that nothing waits for a page that may be closed by then
        await Promise.all(puts.map(finished));
      } catch {
        if (!complained) onFailure();
        complained = true;
      }
    },
    /** All records of this tab by name. */
    async load() {
      if (!database) return new Map();
      const [keys, values] = await Promise.all([
        finished(records("readonly").getAllKeys(allOf(tab))),
        finished(records("readonly").getAll(allOf(tab))),
      ]);
      return new Map(keys.map(([, name], index) => [name, values[index]]));
    },
    forget,
    /** The newest review of a tab that was closed: {tab, page}, or null; old and empty ones go. */
    async leftBehind() {
      if (!database || !navigator.locks) return null;
      const keys = await finished(records("readonly").getAllKeys());
      const left = [];
      for (const owner of new Set(keys.map(([owner]) => owner))) {
        if (owner === tab || (await isOpen(owner))) continue;
        const page = await finished(records("readonly").get([owner, "page"]));
        const recent = page && Date.now() - page.time < REMEMBERED_FOR;
        if (recent && page.reviewed) left.push({ tab: owner, page });
        else await forget(owner);
      }
      return left.sort((one, other) => other.page.time - one.page.time)[0] ?? null;
    },
    /** Become a tab that was closed; the page has to be loaded again after that. */
    become(owner) {
      sessionStorage.setItem("csr-tab", owner);
    },
  };
}
