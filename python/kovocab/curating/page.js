// The page: rows, what is decided of them, keys. The cursor never waits for the server: what a key does is shown at once
// and goes into the queue; the sums and what other pages decided come when they come.

import { Detail } from "./detail.js";
import { keys, showHelp, showHints } from "./keys.js";
import { Queue } from "./queue.js";
import { Refining } from "./refining.js";
import { Table } from "./table.js";
import { make, named, number, ratio, say, speak } from "./words.js";

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
let version = 0, stem = null;

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
version = given.version;
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
  ask, of: at => rows[at], state, stemSize: row => stems.get(row.stem).length,
  keptChildren: row => row.children.filter(child => rows[child].decision === "keep").length,
  go: name => show(name),
});

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
  sum();
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
    find("filters").reset();
    stem = null;
    table.row = row;
    filter();
  } else table.go(table.order.indexOf(row));
}

const STATES = {
  in: row => row.kept, out: row => !row.kept, undecided: row => !row.decision, decided: row => row.decision,
  keep: row => row.decision === "keep", drop: row => row.decision === "drop", with: row => row.dropped && !row.decision,
  clash: row => state(row) === "clash",
};

function filter() {
  const wanted = find("search").value.normalize("NFC").trimEnd().replace(/ /g, "▁");
  const kind = find("kind").value, flag = find("flag").value, chosen = STATES[find("state").value] ?? (() => true);
  find("stem").hidden = stem === null;
  if (stem !== null) find("stem").textContent = say("stem_only", { stem });
  table.filter(row => row.token.includes(wanted) && chosen(row) && (!kind || (row.kind ?? "?") === kind) &&
    (!flag || (flag === "*" ? row.flags.length > 0 : row.flags.includes(flag))) && (stem === null || row.stem === stem));
  find("shown").textContent = say("shown", { n: table.grid.getDataCount("active"), of: rows.length });
}

function options(select, first, values) {
  const chosen = select.value;
  select.replaceChildren(...[["", first], ...values].map(([value, text]) => new Option(text, value)));
  select.value = chosen;
}

function choices() {
  options(find("state"), say("all_states"), Object.keys(STATES).map(key => [key, say(key)]));
  const kinds = [...new Set(rows.map(row => row.kind ?? "?"))].sort();
  options(find("kind"), say("all_kinds"), kinds.map(kind => [kind, kind === "?" ? say("no_kind") : named(kind)]));
  const flags = [...new Set(rows.flatMap(row => row.flags))].sort();
  options(find("flag"), say("all_flags"), [["*", say("any_flag")], ...flags.map(flag => [flag, named(flag)])]);
}

// The running sums, asked for once things are quiet; the last that was asked for is shown.
let asked = 0, frame = 0;
async function sum() {
  const mine = ++asked;
  find("sums").classList.add("old");
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(by_hand);
  await pause(150);
  if (mine !== asked) return;
  try {
    await queue.idle();
    const found = await ask("sums");
    if (mine === asked) tell(found);
  } catch { /* the next change asks again, and what is not saved says why */ }
}

function by_hand() {
  const count = wanted => rows.reduce((sum, row) => sum + (state(row) === wanted), 0);
  const clashes = count("clash");
  const told = say("kept_dropped", { keep: number(count("keep") + clashes), drop: number(count("drop")) });
  const place = find("sums").querySelector(".by-hand dd");
  if (!place) return;
  place.textContent = told;
  if (clashes) place.append(" ", make("b", "wrong", say("clashes", { n: clashes })));
}

// The sums, each with what became of what refine left.
function tell(found) {
  const most = given.settings.max_new_tokens;
  const tile = (key, shown, name) => {
    const by = found[key] - given.now[key], told = `${by > 0 ? "+" : "−"}${shown(Math.abs(by))}`;
    const more = found[key] == null || shown(Math.abs(by)) === shown(0) ? [] : [make("small", "", ` ${told}`)];
    return make("div", key, make("dt", "", name), make("dd", "", String(shown(found[key])), ...more));
  };
  find("sums").replaceChildren(
    tile("tokens", number, say("tokens")), tile("tokens_per_word", ratio, say("tokens_per_word")),
    tile("bytes_per_token", ratio, say("bytes_per_token")), ...(most ? [tile("left", number, say("left", { n: most }))] : []),
    make("div", "by-hand", make("dt", "", say("by_hand")), make("dd")),
  );
  find("sums").classList.remove("old");
  by_hand();
}

// What other pages and servers decide. While something of ours is on its way, the file's order is not known yet.
async function follow() {
  for (;;) {
    try {
      await queue.idle();
      const said = await ask(`changes?since=${version}`);
      if (queue.length || said.version < queue.version) continue;
      const changed = new Set(said.changes.flatMap(([name, decision]) => take(name, decision)));
      version = said.version;
      table.paint(changed);
      if (changed.size) {
        sum();
        detail.show(table.row);
      }
    } catch {
      await pause(1000);
    }
  }
}

// What takes the server a while, once the page is there.
async function learn(path, column) {
  const found = await ask(path).catch(() => null);
  if (!found) return;
  for (const key of column ?? Object.keys(found).filter(key => key !== "row")) {
    found[key].forEach((value, at) => { rows[found.row?.[at] ?? at][key] = value; });
  }
  choices();
  table.repaint();
  detail.show(table.row);
}

const refining = new Refining(given.settings, given.tokenizer, {
  ask, idle: () => queue.idle(), rank: name => byToken.get(name)?.row ?? Infinity,
  accepted: ({ came, went }) => {
    for (const [tokens, kept] of [[came, true], [went, false]]) {
      for (const name of tokens) if (byToken.has(name)) Object.assign(byToken.get(name), { kept, why: null });
    }
    table.repaint();
    sum();
  },
});

await table.built;
choices();
filter();
for (const id of ["kind", "flag", "state"]) find(id).onchange = () => { filter(); find("table").focus(); };
find("search").oninput = filter;
find("filters").onsubmit = event => { event.preventDefault(); find("table").focus(); };
find("stem").onclick = () => { stem = null; filter(); find("table").focus(); };
find("open-refine").onclick = () => refining.open();
find("open-help").onclick = showHelp;
addEventListener("beforeunload", event => { if (queue.length) event.preventDefault(); });
const group = () => stems.get(table.row.stem);
const onward = (some, decision) => { decide(some, decision); table.step(1); detail.show(table.row); };
keys({
  keep: () => onward([table.row], "keep"), drop: () => onward([table.row], "drop"), clear: () => onward([table.row], null),
  stem_keep: () => onward(group(), "keep"), stem_drop: () => onward(group(), "drop"),
  stem: () => { stem = stem === null ? table.row.stem : null; filter(); },
  undo, down: () => table.step(1), up: () => table.step(-1), page_down: () => table.step(table.page()),
  page_up: () => table.step(-table.page()), first: () => table.step(-Infinity), last: () => table.step(Infinity),
  search: () => { find("search").focus(); find("search").select(); }, leave: () => find("table").focus(),
  refine: () => refining.open(), help: showHelp,
}, () => table.row !== null);
find("table").focus();
queue.told();
tell(given.now);
sum();
document.body.dataset.ready = "true";
follow();
queue.left().then(found => {
  const known = found.filter(([name, decision]) => byToken.has(name) && byToken.get(name).decision !== decision);
  if (!known.length) return;
  undoable.push(known.map(([name, decision]) => [name, byToken.get(name).decision, decision]));
  put(known);
  queue.idle().then(() => { find("saved").textContent = say("found_again", { n: known.length }); });
});
learn("prices", ["price"]);
learn("sources_and_flags");
