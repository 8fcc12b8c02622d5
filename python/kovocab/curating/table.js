// The table: what is shown, in which order, and which row the cursor is on. Tabulator draws it; decisions are looked up
// in `state`, never copied into its rows.

import { make, named, number, say, shownToken } from "./words.js";

const HEIGHT = 28; // pixels, its line among them
export const MARKS = { keep: "●", drop: "✕", with: "↳", clash: "!", in: "·", out: "" };
const NARROW = matchMedia("(max-width: 760px)");
const text = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const amount = (a, b) => (a ?? -1) - (b ?? -1);

export class Table {
  // `state` gives a row's state; `moved` is called with the row that the cursor is on.
  constructor(rows, state, moved) {
    this.rows = rows;
    this.state = state;
    this.moved = moved;
    this.drawn = new Map(); // row number → Tabulator's row
    this.order = [];
    this.at = 0;
    this.row = rows[0] ?? null;
    this.holder = null;
    this.grid = new Tabulator("#table", {
      data: rows, index: "row", height: "100%", rowHeight: HEIGHT - 1, layout: "fitColumns", keybindings: false,
      columns: this.columns(), placeholder: "–", columnDefaults: { resizable: false, headerSortTristate: true },
      rowFormatter: row => this.format(row),
    });
    this.built = new Promise(done => this.grid.on("tableBuilt", () => {
      this.holder = document.querySelector("#table .tabulator-tableholder");
      this.holder.tabIndex = -1;
      this.narrow();
      NARROW.addEventListener("change", () => this.narrow());
      done();
    }));
    this.grid.on("rowClick", (_, row) => this.go(this.order.indexOf(row.getData())));
    for (const event of ["dataFiltered", "dataSorted"]) {
      this.grid.on(event, (_, shown) => this.arranged(shown.map(row => row.getData())));
    }
  }

  columns() {
    const right = { hozAlign: "right", headerHozAlign: "right", headerSortStartingDir: "desc" };
    const shown = cell => number(cell.getValue());
    const state = cell => this.state(cell.getData());
    return [
      { field: "row", title: "", width: 34, hozAlign: "center", headerSort: false, formatter: cell => MARKS[state(cell)],
        tooltip: (_, cell) => say(state(cell)) },
      { field: "token", title: say("token"), minWidth: 90, widthGrow: 3, sorter: text, formatter: cell => shownToken(cell.getValue()) },
      { field: "count", title: say("count"), width: 92, sorter: amount, formatter: shown, ...right },
      { field: "rank", title: say("rank"), width: 76, sorter: amount, formatter: shown, ...right },
      { field: "length", title: say("length"), width: 62, sorter: amount, ...right },
      { field: "price", title: say("price"), width: 88, sorter: amount, formatter: cell => number(cell.getValue()) ?? "", ...right },
      { field: "goes", title: say("children"), width: 104, sorter: amount, formatter: cell => number(cell.getValue() || ""), ...right },
      { field: "kind", title: say("kind"), width: 134, sorter: (a, b) => text(a ?? "", b ?? ""), formatter: cell => named(cell.getValue() ?? "") },
      { field: "flags", title: say("flags"), minWidth: 70, widthGrow: 3, sorter: (a, b) => a.length - b.length,
        formatter: cell => make("span", "chips", ...cell.getValue().map(flag => make("b", "", named(flag)))) },
    ];
  }

  narrow() {
    for (const field of ["rank", "length", "goes", "kind"]) {
      this.grid.getColumn(field)[NARROW.matches ? "hide" : "show"]();
    }
    this.grid.redraw(true);
  }

  format(row) {
    const data = row.getData();
    this.drawn.set(data.row, row);
    row.getElement().className = row.getElement().className.replace(/ ?\bis-\w+/g, "") +
      ` is-${this.state(data)}${data === this.row ? " is-cursor" : ""}`;
  }

  // Draw rows again whose state changed.
  paint(rows) {
    for (const row of rows) this.drawn.get(row.row)?.reformat();
  }

  // All of them; Tabulator's own redraw would scroll to the top.
  repaint() {
    for (const row of this.drawn.values()) row.reformat();
  }

  // Show rows for which `wanted` holds; the cursor stays where it is, or where it was.
  filter(wanted) {
    this.grid.setFilter(wanted);
  }

  arranged(order) {
    this.order = order;
    const found = order.indexOf(this.row);
    // Tabulator draws after this, and begins at the top.
    requestAnimationFrame(() => this.go(found >= 0 ? found : Math.min(this.at, order.length - 1)));
  }

  step(by) {
    this.go(Math.max(0, Math.min(this.order.length - 1, this.at + by)));
  }

  page() {
    return Math.max(1, Math.floor(this.holder.clientHeight / HEIGHT) - 1);
  }

  go(at) {
    if (!this.holder) return; // not built yet
    const before = this.row;
    this.at = Math.max(0, at);
    this.row = this.order[this.at] ?? null;
    for (const row of [before, this.row]) {
      if (row) this.drawn.get(row.row)?.getElement().classList.toggle("is-cursor", row === this.row);
    }
    const top = this.at * HEIGHT, { scrollTop, clientHeight } = this.holder;
    if (top < scrollTop) this.holder.scrollTop = top;
    else if (top + HEIGHT > scrollTop + clientHeight) this.holder.scrollTop = top + HEIGHT - clientHeight;
    this.moved(this.row);
  }
}
