// The page: rows, what is decided of them, keys. The cursor never waits for the server: what a key does is shown at once
// and goes into the queue; the sums and what other pages decided come when they come.

import { Detail } from "./detail.js";
import { Filters } from "./filters.js";
import { keys, showHelp, showHints } from "./keys.js";
import { Queue } from "./queue.js";
import { Refining } from "./refining.js";
import { Sums } from "./sums.js";
import { Table } from "./table.js";
import { say, speak } from "./words.js";

const find = id => document.getElementById(id);
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));
const token = location.hash.slice(1);

async function ask(path, body) {
  const headers = { "x-kovocab-token": token, "content-type": "application/json" };
  const request = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  let answer;
  try {
    answer = await fetch(`/api/${path}`, request);
  } catch {
    throw new Error(say("gone"));
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

speak(null);
find("saved").textContent = say("opening");
let given;
try {
  given = await ask("rows");
} catch (error) {
  find("saved").textContent = error.message;
  throw error;
}
speak(given.language);

const columns = Object.keys(given.rows);
const rows = given.rows.row.map((_, at) => {
  const row = {};
  for (const key of columns) row[key] = given.rows[key][at];
  return row;
});
const byToken = new Map(), stems = new Map();
for (const row of rows) {
  row.goes = row.children.length;
  row.dropped = 0; // of how many dropped tokens it is made
  row.decision = null;
  byToken.set(row.token, row);
  if (!stems.has(row.stem)) stems.set(row.stem, []);
  stems.get(row.stem).push(row);
}
const others = new Map(); // decisions on what is no candidate here
const undoable = [];
// What the server works out meanwhile, and how far it is: waits, done, none where it cannot, or what went wrong.
const waited = { prices: "waits", kinds: "waits", sources_and_flags: "waits" };
const done = new Set(); // what the server said is done
let version = given.version;

function state(row) {
  if (row.decision === "drop") return "drop";
  if (row.decision === "keep") return row.dropped ? "clash" : "keep";
  return row.dropped ? "with" : row.kept ? "in" : "out";
}

// Take up a decision, whoever made it; gives the rows that look different then.
function take(name, decision) {
  const row = byToken.get(name);
  if (!row) {
    if (decision) others.set(name, decision);
    else others.delete(name);
    return [];
  }
  const before = row.decision, changed = [row];
  row.decision = decision;
  const by = (decision === "drop") - (before === "drop");
  if (by) {
    for (const child of row.children) {
      rows[child].dropped += by;
      changed.push(rows[child]);
    }
  }
  return before === decision ? [] : changed;
}

for (const [name, decision] of Object.entries(given.decided)) take(name, decision);
find("name").textContent = given.tokenizer.split("/").at(-1);
find("name").title = given.tokenizer;
find("saved").title = given.file;
document.title = `${find("name").textContent} · kovocab curate`;

const queue = new Queue(given.file, body => ask("decide", body), () => {
  const place = find("saved"), n = queue.length;
  place.className = queue.error ? "wrong" : n ? "busy" : "";
  place.textContent = queue.error ? say("unsaved", { n, why: queue.error.message }) : n ? say("saving", { n }) : say("saved");
  place.dataset.unsaved = n;
});
const table = new Table(rows, state, row => {
  detail.show(row);
  showHints(row, row ? detail.goes(row) : "", row ? stems.get(row.stem).length : 0);
});
const detail = new Detail(find("detail"), {
  ask, waited, of: at => rows[at], state, stemSize: row => stems.get(row.stem).length,
  keptChildren: row => row.children.filter(child => rows[child].decision === "keep").length,
  go: name => show(name),
});

const filters = new Filters(rows, state, table);
const sums = new Sums(given, rows, state, { ask, idle: () => queue.idle() });

// Decide on some rows: one step, to be undone as one.
function decide(some, decision) {
  const step = some.filter(row => row.decision !== decision).map(row => [row.token, row.decision, decision]);
  if (!step.length) return;
  undoable.push(step);
  put(step.map(([name, , after]) => [name, after]));
}

function put(decisions) {
  table.paint(new Set(decisions.flatMap(([name, decision]) => take(name, decision))));
  queue.push(decisions);
  sums.changed();
}

function undo() {
  const step = undoable.pop();
  if (!step) {
    find("saved").textContent = say("nothing_to_undo");
    return;
  }
  // What another page decided since stays.
  const mine = step.filter(([name, , after]) => byToken.get(name).decision === after);
  if (mine.length) put(mine.map(([name, before]) => [name, before]));
  show(step[0][0]);
}

// Put the cursor on a token; filters go if they hide it.
function show(name) {
  const row = byToken.get(name);
  if (!row) return;
  if (!table.order.includes(row)) {
    table.row = row;
    filters.none();
  } else table.go(table.order.indexOf(row));
}

// What other pages and servers decide. While something of ours is on its way, the file's order is not known yet. A page
// that nobody sees asks nothing: a browser has but six requests at a time for all of them.
async function follow() {
  for (let lost = false; ;) {
    try {
      if (document.hidden) await new Promise(done => addEventListener("visibilitychange", done, { once: true }));
      await queue.idle();
      const said = await ask(`changes?since=${version}&known=${done.size}`);
      if (lost) queue.told();
      lost = false;
      for (const name of said.done) {
        if (done.has(name)) continue;
        done.add(name);
        if (name in waited) learn(name);
      }
      if (queue.length || said.version < queue.version) continue;
      const changed = new Set(said.changes.flatMap(([name, decision]) => take(name, decision)));
      version = said.version;
      table.paint(changed);
      if (changed.size) {
        sums.changed();
        detail.show(table.row);
      }
    } catch (error) {
      lost = true;
      if (!queue.length) Object.assign(find("saved"), { className: "wrong", textContent: error.message });
      await pause(1000);
    }
  }
}

// What takes the server a while, once the page is there: what it has not got yet `follow` hears of.
async function learn(name) {
  try {
    const found = await ask(name);
    if (found?.waits) return;
    waited[name] = found ? "done" : "none";
    if (!found) return;
    for (const key of Object.keys(found).filter(key => key !== "row")) {
      found[key].forEach((value, at) => {
        const row = rows[found.row?.[at] ?? at];
        row[key] = key === "flags" ? [...new Set([...row.flags, ...value])] : value;
      });
    }
    filters.choices();
    table.repaint();
  } catch (error) {
    waited[name] = error.message;
  } finally {
    detail.show(table.row);
  }
}

const refining = new Refining(given.settings, given.tokenizer, {
  ask, idle: () => queue.idle(), rank: name => byToken.get(name)?.row ?? Infinity,
  accepted: ({ came, went }) => {
    for (const [tokens, kept] of [[came, true], [went, false]]) {
      for (const name of tokens) if (byToken.has(name)) Object.assign(byToken.get(name), { kept, why: null });
    }
    table.repaint();
    sums.changed();
  },
});

await table.built;
filters.choices();
filters.apply();
find("open-refine").onclick = () => refining.open();
find("open-help").onclick = showHelp;
addEventListener("beforeunload", event => { if (queue.length) event.preventDefault(); });
const group = () => stems.get(table.row.stem);
const onward = (some, decision) => { decide(some, decision); table.step(1); detail.show(table.row); };
keys({
  keep: () => onward([table.row], "keep"), drop: () => onward([table.row], "drop"), clear: () => onward([table.row], null),
  stem_keep: () => onward(group(), "keep"), stem_drop: () => onward(group(), "drop"),
  stem: () => filters.only(table.row.stem),
  undo, down: () => table.step(1), up: () => table.step(-1), page_down: () => table.step(table.page()),
  page_up: () => table.step(-table.page()), first: () => table.step(-Infinity), last: () => table.step(Infinity),
  search: () => { find("search").focus(); find("search").select(); }, leave: () => find("table").focus(),
  refine: () => refining.open(), help: showHelp,
}, () => table.row !== null);
find("table").focus();
queue.told();
sums.tell(given.now);
sums.changed();
document.body.dataset.ready = "true";
follow();
queue.left().then(found => {
  const known = found.filter(([name, decision]) => byToken.has(name) && byToken.get(name).decision !== decision);
  if (!known.length) return;
  undoable.push(known.map(([name, decision]) => [name, byToken.get(name).decision, decision]));
  put(known);
  queue.idle().then(() => { find("saved").textContent = say("found_again", { n: known.length }); });
});
for (const name of Object.keys(waited)) learn(name);
