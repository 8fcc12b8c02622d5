// Refine again: thresholds as sliders, the curve behind them, what came and went, and writing what is accepted.

import { make, number, ratio, say, shownToken } from "./words.js";

const find = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const H = 190, LEFT = 52, RIGHT = 44, TOP = 14, BOTTOM = 26;
const LISTED = 60;

export class Refining {
  // `ask` fetches; `idle` waits until all is saved; `rank` orders tokens; `accepted` is called with {came, went} when it
  // is written.
  constructor(settings, tokenizer, { ask, idle, rank, accepted }) {
    Object.assign(this, { ask, settings, idle, rank, accepted });
    this.chosen = {};
    this.points = null;
    find("folder").value = `${tokenizer}-curated`;
    const most = settings.max_new_tokens ?? 8960;
    this.slider("min_count", settings.min_count, this.scale(settings.min_count));
    this.slider("min_syllable_count", settings.min_syllable_count, this.scale(settings.min_syllable_count));
    const steps = [...new Set([...Array.from({ length: 40 }, (_, at) => 500 * (at + 1)), most])].sort((a, b) => a - b);
    this.slider("max_new_tokens", settings.max_new_tokens, [...steps, null]);
    find("run").onclick = () => this.run();
    find("write").onclick = () => this.write();
  }

  // Some numbers to choose among, each about a tenth more than the one before.
  scale(now) {
    const steps = new Set([now]);
    for (let value = 2; value <= Math.max(20_000, 4 * now); value = Math.ceil(value * 1.12)) {
      const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1);
      steps.add(Math.round(value / unit) * unit);
    }
    return [...steps].sort((a, b) => a - b);
  }

  slider(name, now, steps) {
    const range = make("input"), told = make("output");
    Object.assign(range, { type: "range", min: 0, max: steps.length - 1, step: 1, id: name, value: steps.indexOf(now) });
    const choose = () => {
      this.chosen[name] = steps[range.value];
      told.value = steps[range.value] === null ? say("no_limit") : number(steps[range.value]);
      range.setAttribute("aria-valuetext", told.value);
      if (name === "min_count") this.mark();
    };
    range.oninput = choose;
    find("sliders").append(make("label", "", make("span", "", say(name)), range, told));
    choose();
  }

  async open() {
    find("refine").showModal();
    if (this.points || this.drawing) return;
    this.drawing = true;
    try {
      const table = await this.ask("curve");
      this.points = table.min_count.map((count, at) => [count, table.new_tokens[at], table.tokens_per_word[at]])
        .sort((a, b) => a[0] - b[0]);
      this.draw();
    } catch (error) {
      find("curve").replaceChildren(make("p", "quiet", say("no_curve", { why: error.message })));
    }
    this.drawing = false;
  }

  // New tokens, and tokens per word, over min_count; both from their least to their most.
  draw() {
    const W = find("curve").clientWidth;
    const counts = this.points.map(point => point[0]);
    const [low, high] = [Math.log(counts[0]), Math.log(counts.at(-1))];
    this.x = count => LEFT + (W - LEFT - RIGHT) * Math.max(0, Math.min(1, (Math.log(count) - low) / (high - low || 1)));
    const svg = node("svg", { viewBox: `0 0 ${W} ${H}`, role: "img" });
    const line = (of, className, x, anchor, shown) => {
      const values = this.points.map(point => point[of]).filter(value => value != null);
      if (!values.length) return;
      const [least, most] = [Math.min(...values), Math.max(...values)];
      const y = value => TOP + (H - TOP - BOTTOM) * (1 - (value - least) / (most - least || 1));
      const points = this.points.filter(point => point[of] != null).map(point => `${this.x(point[0])},${y(point[of])}`);
      svg.append(node("polyline", { points: points.join(" "), class: className }));
      for (const value of new Set([least, most])) {
        svg.append(node("text", { x, y: y(value) + 4, "text-anchor": anchor, class: className }, shown(value)));
      }
    };
    line(1, "tokens", LEFT - 6, "end", number);
    line(2, "words", W - RIGHT + 6, "start", value => value.toFixed(2));
    const ends = [counts[0], counts[Math.floor(counts.length / 2)], counts.at(-1)];
    for (const count of ends) {
      svg.append(node("text", { x: this.x(count), y: H - 8, "text-anchor": "middle" }, number(count)));
    }
    this.here = node("line", { y1: TOP - 6, y2: H - BOTTOM, class: "here" });
    svg.append(this.here);
    this.told = make("figcaption");
    find("curve").replaceChildren(svg, this.told);
    this.mark();
  }

  // Where the slider is on the curve.
  mark() {
    if (!this.points) return;
    const x = this.x(this.chosen.min_count);
    this.here.setAttribute("x1", x);
    this.here.setAttribute("x2", x);
    const near = this.points.reduce((a, b) => (Math.abs(this.x(b[0]) - x) < Math.abs(this.x(a[0]) - x) ? b : a));
    this.told.replaceChildren(
      `min_count ${number(near[0])}: `, make("b", "tokens", `${say("new_tokens")} ${number(near[1])}`), " · ",
      make("b", "words", `${say("tokens_per_word")} ${ratio(near[2])}`),
    );
  }

  async run() {
    const place = find("difference"), ticking = clock(place, "refining");
    find("run").disabled = true;
    find("accept").hidden = true;
    find("written").textContent = "";
    try {
      await this.idle();
      this.found = await this.ask("refine", { settings: this.chosen });
      place.replaceChildren(...this.difference(this.found));
      find("accept").hidden = false;
    } catch (error) {
      place.replaceChildren(make("p", "wrong", error.message));
    } finally {
      clearInterval(ticking);
      find("run").disabled = false;
    }
  }

  difference({ came, went, before, after }) {
    const sums = make("dl", "sums");
    for (const key of ["tokens", "tokens_per_word", "bytes_per_token"]) {
      const shown = key === "tokens" ? number : ratio;
      sums.append(make("div", "", make("dt", "", say(key)), make("dd", "", `${shown(before[key])} → ${shown(after[key])}`)));
    }
    if (!came.length && !went.length) return [sums, make("p", "quiet", say("nothing_changed"))];
    return [sums, this.list("came", came), this.list("went", went)];
  }

  list(key, tokens) {
    const held = make("p", `links ${key}`, make("b", "", say(key, { n: tokens.length })), " ");
    const ordered = tokens.toSorted((a, b) => this.rank(a) - this.rank(b));
    for (const token of ordered.slice(0, LISTED)) held.append(shownToken(token), " ");
    if (tokens.length > LISTED) held.append(make("span", "quiet", say("and_more", { n: tokens.length - LISTED })));
    return held;
  }

  async write() {
    const place = find("written"), ticking = clock(place, "writing");
    find("write").disabled = true;
    place.className = "quiet";
    try {
      const asked = { number: this.found.number, folder: find("folder").value, overwrite: find("overwrite").checked };
      const { folder, tokens } = await this.ask("accept", asked);
      place.className = "";
      place.textContent = say("written", { n: tokens, folder });
      this.accepted(this.found);
    } catch (error) {
      place.className = "wrong";
      place.textContent = error.message;
    } finally {
      clearInterval(ticking);
      find("write").disabled = false;
    }
  }
}

// Say how many seconds something has taken so far, until it is cleared.
function clock(place, key) {
  const begun = performance.now(), tell = () => {
    place.textContent = say(key, { s: Math.round((performance.now() - begun) / 1000) });
  };
  tell();
  return setInterval(tell, 1000);
}

function node(name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}
