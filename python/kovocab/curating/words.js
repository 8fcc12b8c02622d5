// What the page says, in English and Korean.

const WORDS = {
  en: {
    refine_again: "Refine again", help: "Keys", search: "Search (/)", state: "state", kind: "kind", flags: "flags",
    candidates: "Candidates; arrow keys move, K keeps, D drops", all_states: "all states", all_kinds: "all kinds",
    all_flags: "flagged or not", any_flag: "with any flag", shown: "{n} of {of}", stem_only: "stem {stem}  ×",
    in: "in the vocabulary", out: "not in it", keep: "kept by hand", drop: "dropped by hand", with: "goes with a dropped one",
    clash: "kept, but made of a dropped one", decided: "decided", undecided: "undecided",
    token: "token", count: "count", rank: "rank", length: "len", price: "price", children: "with it", sources: "sources",
    parts: "made of", why: "why not", stem: "stem", no_kind: "not said: pip install 'kovocab[kinds]'", sentences: "in the corpus",
    no_corpus: "not said: give --corpus", looking: "looking …", waits: "being worked out …",
    price_is: "{n} more tokens without it", price_less: "{n} fewer tokens without it", goes: "drop this and {n} go with it", goes_kept: "{n} of them kept by hand",
    none_goes: "nothing goes with it", in_stem: "{n} of this stem",
    tokens: "tokens kept", tokens_per_word: "tokens per word", bytes_per_token: "bytes per token", left: "left of {n}",
    by_hand: "by hand", kept_dropped: "+{keep} −{drop}", clashes: "{n} clash", unknown: "unknown",
    saved: "saved", saving: "saving {n} …", unsaved: "{n} not saved: {why}", gone: "the server does not answer",
    found_again: "{n} decisions of an earlier page saved", opening: "opening …", nothing_to_undo: "nothing to undo",
    h_keep: "keep", h_drop: "drop", h_clear: "clear", h_undo: "undo", h_next: "next", h_search: "search", h_help: "all keys",
    h_stem_keep: "keep all of the stem", h_stem_drop: "drop all of the stem", h_stem: "show this stem alone",
    h_move: "up and down", h_page: "a page up and down", h_ends: "first and last", h_refine: "refine again",
    h_leave: "back to the table", physical: "The keys are places on the keyboard: they work with the Korean input method on.",
    curve_waits: "The curve is being drawn …", no_curve: "no curve: {why}", new_tokens: "new tokens", refine_now: "Refine",
    close: "Close", refining: "refining … {s} s", writing: "writing … {s} s", came: "{n} came", went: "{n} went", before_after: "before → after",
    folder: "Write to", overwrite: "replace what an earlier refine left there", accept: "Accept and write",
    written: "{n} new tokens written to {folder}", and_more: "and {n} more", nothing_changed: "The vocabulary stays as it is.",
    min_count: "min_count", min_syllable_count: "min_syllable_count", max_new_tokens: "max_new_tokens", no_limit: "no limit",
  },
  ko: {
    refine_again: "다시 다듬기", help: "단축키", search: "찾기 (/)", state: "상태", kind: "종류", flags: "표시",
    candidates: "후보 토큰; 화살표로 옮기고 K로 남기고 D로 버립니다", all_states: "모든 상태", all_kinds: "모든 종류",
    all_flags: "표시 상관없이", any_flag: "표시가 있는 것", shown: "{of}개 중 {n}개", stem_only: "어간 {stem}  ×",
    in: "어휘에 있음", out: "어휘에 없음", keep: "직접 남김", drop: "직접 버림", with: "버린 것과 함께 빠짐",
    clash: "남겼지만 버린 토큰으로 이루어짐", decided: "정한 것", undecided: "정하지 않은 것",
    token: "토큰", count: "빈도", rank: "순위", length: "길이", price: "값", children: "함께 빠짐", sources: "출처",
    parts: "구성", why: "빠진 까닭", stem: "어간", no_kind: "모름: pip install 'kovocab[kinds]'", sentences: "말뭉치에서",
    no_corpus: "모름: --corpus를 주세요", looking: "찾는 중 …", waits: "알아보는 중 …",
    price_is: "없으면 토큰 {n}개가 더 듭니다", price_less: "없으면 토큰 {n}개가 덜 듭니다", goes: "버리면 {n}개가 함께 빠집니다", goes_kept: "그중 {n}개는 직접 남긴 것",
    none_goes: "함께 빠지는 것 없음", in_stem: "같은 어간 {n}개",
    tokens: "남은 토큰", tokens_per_word: "어절당 토큰", bytes_per_token: "토큰당 바이트", left: "{n}개 중 여유",
    by_hand: "직접 정함", kept_dropped: "+{keep} −{drop}", clashes: "{n}개 충돌", unknown: "모름",
    saved: "저장됨", saving: "{n}개 저장 중 …", unsaved: "{n}개 저장 안 됨: {why}", gone: "서버가 응답하지 않습니다",
    found_again: "앞선 페이지의 결정 {n}개를 저장했습니다", opening: "여는 중 …", nothing_to_undo: "되돌릴 것이 없습니다",
    h_keep: "남기기", h_drop: "버리기", h_clear: "결정 지우기", h_undo: "되돌리기", h_next: "다음", h_search: "찾기", h_help: "모든 키",
    h_stem_keep: "어간 전체 남기기", h_stem_drop: "어간 전체 버리기", h_stem: "이 어간만 보기",
    h_move: "위아래로", h_page: "한 쪽 위아래로", h_ends: "처음과 끝", h_refine: "다시 다듬기",
    h_leave: "표로 돌아가기", physical: "키는 자판의 자리로 읽습니다. 한글 입력 상태에서도 그대로 됩니다.",
    curve_waits: "곡선을 그리는 중 …", no_curve: "곡선 없음: {why}", new_tokens: "새 토큰", refine_now: "다듬기",
    close: "닫기", refining: "다듬는 중 … {s}초", writing: "쓰는 중 … {s}초", came: "들어온 것 {n}개", went: "나간 것 {n}개", before_after: "전 → 후",
    folder: "쓸 폴더", overwrite: "앞서 refine이 남긴 것을 바꾸기", accept: "받아들이고 쓰기",
    written: "새 토큰 {n}개를 {folder}에 썼습니다", and_more: "그 밖에 {n}개", nothing_changed: "어휘가 그대로입니다.",
    min_count: "min_count", min_syllable_count: "min_syllable_count", max_new_tokens: "max_new_tokens", no_limit: "제한 없음",
  },
};

// Kinds, flags and reasons come from the server in English.
const NAMES = {
  noun: "명사", "particle form": "조사 결합형", ending: "어미", "jamo/neologism": "자모·신조어", name: "이름", mixed: "섞임",
  "one source": "출처 하나", "one document": "문서 하나", "phone-like": "전화번호 꼴", profanity: "욕설", "NFD double": "NFD 겹침",
  "never emitted": "안 쓰임", "below min_count": "min_count 미만", "dropped by decision": "결정으로 버림",
  "beyond max_new_tokens": "max_new_tokens 넘음", "a part of it went": "이루는 토큰이 빠짐",
};

let language = "en";

export function speak(chosen) {
  language = chosen ?? (navigator.languages.some(one => one.toLowerCase().startsWith("ko")) ? "ko" : "en");
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of document.querySelectorAll("[data-title]")) {
    element.title = say(element.dataset.title);
    element.setAttribute("aria-label", element.title);
  }
  for (const element of document.querySelectorAll("[data-placeholder]")) {
    element.placeholder = say(element.dataset.placeholder);
    element.setAttribute("aria-label", element.placeholder);
  }
}

export function say(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => number(values[name]));
}

export const named = name => language === "ko" ? NAMES[name] ?? name : name;

const whole = new Intl.NumberFormat("en");
export const number = value => typeof value === "number" || typeof value === "bigint" ? whole.format(value) : value;
export const ratio = value => value == null ? say("unknown") : value.toFixed(3);

// A token as people read it: the space at its start is a thin mark.
export function shownToken(token) {
  const held = document.createElement("span");
  held.className = "token";
  held.lang = "ko";
  if (token.startsWith("▁")) held.append(make("i", "", "▁"));
  held.append(token.replace(/^▁/, ""));
  return held;
}

export function make(tag, className = "", ...inside) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...inside);
  return element;
}
