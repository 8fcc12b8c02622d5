// Keys, by their place on the keyboard: with the Korean input method on, the K key says ㅏ, and is the K key.

import { make, say } from "./words.js";

// code, with shift, what it does; the first of those that do the same is the one that is shown
const KEYS = [
  ["KeyK", false, "keep", "K"], ["KeyD", false, "drop", "D"], ["KeyC", false, "clear", "C"], ["Backspace", false, "clear", "⌫"],
  ["KeyK", true, "stem_keep", "⇧K"], ["KeyD", true, "stem_drop", "⇧D"], ["KeyG", false, "stem", "G"],
  ["KeyU", false, "undo", "U"], ["KeyZ", false, "undo", "Z"],
  ["ArrowDown", false, "down", "↓"], ["KeyJ", false, "down", "J"], ["ArrowUp", false, "up", "↑"], ["KeyH", false, "up", "H"],
  ["PageDown", false, "page_down", "PgDn"], ["PageUp", false, "page_up", "PgUp"], ["Home", false, "first", "Home"],
  ["End", false, "last", "End"], ["Slash", false, "search", "/"], ["KeyR", false, "refine", "R"], ["Slash", true, "help", "?"],
  ["Escape", false, "leave", "Esc"],
];
const HELP = [
  ["h_move", "down", "up"], ["h_page", "page_down", "page_up"], ["h_ends", "first", "last"], ["h_keep", "keep"],
  ["h_drop", "drop"], ["h_clear", "clear"], ["h_undo", "undo"], ["h_stem_keep", "stem_keep"], ["h_stem_drop", "stem_drop"],
  ["h_stem", "stem"], ["h_search", "search"], ["h_leave", "leave"], ["h_refine", "refine"], ["h_help", "help"],
];
const ON_ROWS = ["keep", "drop", "clear", "stem_keep", "stem_drop", "stem"];
const TYPED = "input, select, textarea, [contenteditable]";

let acting = () => {};

// `actions` by name; `there`: whether there is a row to decide on.
export function keys(actions, there) {
  acting = name => { if (there() || !ON_ROWS.includes(name)) actions[name](); };
  addEventListener("keydown", event => {
    // Within a syllable the keys are the input method's.
    if (event.isComposing || event.keyCode === 229) return;
    if (document.querySelector("dialog[open]")) return;
    const typing = event.target.closest?.(TYPED);
    const undoing = event.code === "KeyZ" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
    if (typing && !["Escape", "ArrowDown"].includes(event.code)) return;
    if ((event.ctrlKey || event.metaKey || event.altKey) && !undoing) return;
    // Where ? is differs from keyboard to keyboard.
    const name = typing ? "leave" : event.key === "?" ? "help" : KEYS.find(([code, shift]) => code === event.code && shift === event.shiftKey)?.[2];
    if (!name) return;
    if (typing && typing.matches("select") && event.code === "ArrowDown") return;
    event.preventDefault();
    acting(name);
  });
}

const caps = (...names) => KEYS.filter(([, , name]) => names.includes(name)).map(([, , , cap]) => make("kbd", "", cap));

// The line below the table: what the next key, or a click there, does to the row that the cursor is on.
export function showHints(row, goes, inStem) {
  const hint = (name, key, more = "") => {
    const button = make("button", "", caps(name)[0], ` ${say(key)}`, make("i", "", more && ` ${more}`));
    Object.assign(button, { type: "button", tabIndex: -1, onclick: () => acting(name), onmousedown: event => event.preventDefault() });
    return button;
  };
  document.getElementById("hints").replaceChildren(
    hint("keep", "h_keep"), hint("drop", "h_drop", row?.children.length ? `(${goes})` : ""), hint("undo", "h_undo"),
    hint("stem_drop", "h_stem_drop", `(${say("in_stem", { n: inStem })})`), hint("down", "h_next"), hint("search", "h_search"),
    hint("help", "h_help"),
  );
}

export function showHelp() {
  const dialog = document.getElementById("help"), list = make("dl", "keys");
  for (const [key, ...names] of HELP) list.append(make("dt", "", ...caps(...names)), make("dd", "", say(key)));
  const close = make("button", "", say("close"));
  close.onclick = () => dialog.close();
  dialog.replaceChildren(make("h2", "", say("help")), list, make("p", "quiet", say("physical")), close);
  dialog.showModal();
}
