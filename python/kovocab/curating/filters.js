// Which rows are shown: search, state, kind, flag, stem. It is asked when one of them changes, and not when a row does.

import { named, say } from "./words.js";

const find = id => document.getElementById(id);

export class Filters {
  constructor(rows, state, table) {
    Object.assign(this, { rows, table });
    this.stem = null;
    this.states = {
      in: row => row.kept, out: row => !row.kept, undecided: row => !row.decision, decided: row => row.decision !== null,
      keep: row => row.decision === "keep", drop: row => row.decision === "drop", with: row => state(row) === "with",
      clash: row => state(row) === "clash",
    };
    const back = () => find("table").focus();
    for (const id of ["kind", "flag", "state"]) find(id).onchange = () => { this.apply(); back(); };
    find("search").oninput = () => this.apply();
    find("filters").onsubmit = event => { event.preventDefault(); back(); };
    find("stem").onclick = () => { this.only(null); back(); };
  }

  apply() {
    const part = find("search").value.normalize("NFC").trimEnd().replace(/ /g, "▁"), stem = this.stem;
    const kind = find("kind").value, flag = find("flag").value, chosen = this.states[find("state").value] ?? (() => true);
    find("stem").hidden = stem === null;
    if (stem !== null) find("stem").textContent = say("stem_only", { stem });
    this.table.filter(row => row.token.includes(part) && chosen(row) && (!kind || (row.kind ?? "?") === kind) &&
      (!flag || (flag === "*" ? row.flags.length > 0 : row.flags.includes(flag))) && (stem === null || row.stem === stem));
    find("shown").textContent = say("shown", { n: this.table.grid.getDataCount("active"), of: this.rows.length });
  }

  // This stem alone; or all of them, if one is shown alone already.
  only(stem) {
    this.stem = this.stem === null ? stem : null;
    this.apply();
  }

  none() {
    find("filters").reset();
    this.stem = null;
    this.apply();
  }

  // What there is to choose among: kinds and flags may come later than the rows.
  choices() {
    const kinds = [...new Set(this.rows.map(row => row.kind ?? "?"))].sort();
    const flags = [...new Set(this.rows.flatMap(row => row.flags))].sort();
    this.options("state", say("all_states"), Object.keys(this.states).map(key => [key, say(key)]));
    this.options("kind", say("all_kinds"), kinds.map(kind => [kind, kind === "?" ? say("unknown") : named(kind)]));
    this.options("flag", say("all_flags"), [["*", say("any_flag")], ...flags.map(flag => [flag, named(flag)])]);
  }

  options(id, first, values) {
    const chosen = find(id).value;
    find(id).replaceChildren(...[["", first], ...values].map(([value, text]) => new Option(text, value)));
    find(id).value = chosen;
  }
}
