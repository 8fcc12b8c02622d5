// The running sums: asked for once things are quiet, again if something changed meanwhile.

import { make, number, ratio, say } from "./words.js";

const QUIET = 150; // milliseconds
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));
const place = document.getElementById("sums");

export class Sums {
  // `ask` fetches; `idle` waits until all is saved.
  constructor({ now, settings }, rows, state, { ask, idle }) {
    Object.assign(this, { now, most: settings.max_new_tokens, rows, state, ask, idle });
    this.asked = 0;
    this.asking = false;
    this.frame = 0;
  }

  async changed() {
    const mine = ++this.asked;
    place.classList.add("old");
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.byHand());
    await pause(QUIET);
    if (mine !== this.asked || this.asking) return;
    this.asking = true; // and no more than this: behind a refine it may wait long, and a browser has but six requests
    try {
      for (let was = 0; was !== this.asked; ) {
        was = this.asked;
        await this.idle();
        const found = await this.ask("sums");
        if (was === this.asked) this.tell(found);
      }
    } catch { /* the next change asks again, and why nothing is saved stands beside it */ }
    this.asking = false;
  }

  // Each with what became of what refine left.
  tell(found) {
    const tile = (key, shown, name) => {
      const by = found[key] - this.now[key], told = shown(Math.abs(by));
      const more = found[key] == null || told === shown(0) ? [] : [make("small", "", ` ${by > 0 ? "+" : "−"}${told}`)];
      return make("div", key, make("dt", "", name), make("dd", "", String(shown(found[key])), ...more));
    };
    place.replaceChildren(
      tile("tokens", number, say("tokens")), tile("tokens_per_word", ratio, say("tokens_per_word")),
      tile("bytes_per_token", ratio, say("bytes_per_token")),
      ...(this.most ? [tile("left", number, say("left", { n: this.most }))] : []),
      make("div", "by-hand", make("dt", "", say("by_hand")), make("dd")),
    );
    place.classList.remove("old");
    this.byHand();
  }

  byHand() {
    const count = { keep: 0, drop: 0, clash: 0 };
    for (const row of this.rows) if (row.decision) count[this.state(row)] += 1;
    const told = say("kept_dropped", { keep: number(count.keep + count.clash), drop: number(count.drop) });
    const clashes = count.clash ? [" ", make("b", "wrong", say("clashes", { n: count.clash }))] : [];
    place.querySelector(".by-hand dd").replaceChildren(told, ...clashes);
  }
}
