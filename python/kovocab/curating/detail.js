// What is known of the row that the cursor is on.

import { MARKS } from "./table.js";
import { make, named, number, say, shownToken } from "./words.js";

const PAUSE = 120; // milliseconds on a row before its sentences are looked for

export class Detail {
  // `ask` fetches; `waited`: how far the server is with what takes it a while; `of` gives a row by number, `state` its
  // state; `go` shows another token.
  constructor(place, { ask, waited, of, state, stemSize, keptChildren, go }) {
    Object.assign(this, { place, ask, waited, of, state, stemSize, keptChildren, go });
    this.cached = new Map();
    this.timer = 0;
  }

  show(row) {
    clearTimeout(this.timer);
    this.row = row;
    if (!row) return this.place.replaceChildren();
    const state = this.state(row);
    const facts = [
      ["count", number(row.count)], ["rank", number(row.rank)], ["length", row.length],
      ["kind", row.kind ? named(row.kind) : this.lacks("kinds", "no_kind")],
      ["price", row.price == null ? this.lacks("prices") : this.price(row)],
      ["stem", say("in_stem", { n: this.stemSize(row) }), row.stem],
      ["sources", row.sources.join(", ") || this.lacks("sources_and_flags", "no_corpus")],
    ];
    if (row.why) facts.push(["why", named(row.why)]);
    const list = make("dl");
    for (const [key, value, more] of facts) {
      const inside = more ? [shownToken(more), ` · ${value}`] : [String(value)];
      list.append(make("dt", "", say(key)), make("dd", "", ...inside));
    }
    const sentences = make("div", "sentences", make("p", "quiet", say("looking")));
    this.place.replaceChildren(
      make("h2", "", shownToken(row.token), make("span", `state is-${state}`, `${MARKS[state]} ${say(state)}`)),
      make("p", "chips", ...row.flags.map(flag => make("b", "", named(flag)))),
      list,
      this.links(say("parts"), [row.left, row.right].filter(part => part !== null)),
      make("h3", "", this.goes(row)),
      this.links("", row.children.slice(0, 40).map(child => this.of(child).token), row.children.length - 40),
      make("h3", "", say("sentences")), sentences,
    );
    if (this.cached.has(row.row)) this.tell(sentences, this.cached.get(row.row));
    else this.timer = setTimeout(() => this.look(sentences, row), PAUSE);
  }

  price({ price }) {
    return price < 0 ? say("price_less", { n: -price }) : say("price_is", { n: price });
  }

  // Why something is not said of a row; `none` is what to say where it is said of no row.
  lacks(name, none) {
    const how = this.waited[name];
    return how === "done" ? "–" : how === "waits" ? say("waits") : how === "none" ? say(none) : how;
  }

  goes(row) {
    if (!row.children.length) return say("none_goes");
    const kept = this.keptChildren(row);
    return say("goes", { n: row.children.length }) + (kept ? `, ${say("goes_kept", { n: kept })}` : "");
  }

  links(title, tokens, more = 0) {
    const held = make("p", "links", ...(title && tokens.length ? [make("span", "quiet", `${title} `)] : []));
    for (const token of tokens) {
      const button = make("button", "", shownToken(token));
      button.type = "button";
      button.tabIndex = -1;
      button.onclick = () => this.go(token);
      held.append(button);
    }
    if (more > 0) held.append(make("span", "quiet", say("and_more", { n: more })));
    return held;
  }

  async look(place, row) {
    try {
      const found = await this.ask(`sentences?row=${row.row}`);
      if (this.waited.sources_and_flags === "done") this.cached.set(row.row, found); // else there may be more
      if (place.isConnected) this.tell(place, found);
    } catch (error) {
      if (place.isConnected) place.replaceChildren(make("p", "quiet", error.message));
    }
  }

  tell(place, found) {
    place.replaceChildren(...found.map(({ text, start, end, source }) => {
      // The server counts characters, this language halves of pairs.
      const letters = [...text], part = (from, to) => letters.slice(from, to).join("");
      const said = make("p", "", part(0, start), make("mark", "", part(start, end)), part(end));
      said.lang = "ko";
      if (source) said.append(make("small", "", ` ${source}`));
      return said;
    }));
    if (!found.length) place.append(make("p", "quiet", this.lacks("sources_and_flags", "no_corpus")));
  }
}
