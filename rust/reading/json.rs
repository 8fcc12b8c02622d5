//! The rows at paths in JSON, which comes piece by piece. Nothing else of it is kept, so a value may be of gigabytes.
//!
//! What is between texts, numbers and words is followed here, so that a piece may end anywhere; those are left to
//! `serde_json`, and so are most of the words for what is broken.

use std::borrow::Cow;
use std::mem::take;
use std::str::from_utf8;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::reading::paths::{Found, Lost, Paths};
use crate::reading::place::Place;

/// Bytes of text, about, that are worth handing over; of a text that is not wanted no more are held.
const SIZE: usize = 4 << 20;

/// Bytes of a number, at most: with each piece of a longer one all of it would be looked through again.
const NUMBER: usize = 1 << 12;
/// Bytes of an escape, at most: `\u0041`.
const ESCAPE: usize = 6;

/// Values in values, at most.
const DEEPEST: usize = 100_000;

/// Where JSON is broken: the line, the character's number in it, and why.
pub type Broken = (u64, u64, String);

/// A reader of JSON values, one after the other.
///
/// A value that is an array stands for its elements, unless the path begins with those. Of keys of one name it is the
/// first that counts.
#[derive(Debug)]
pub struct Reader {
    paths: Arc<Paths>,
    data: Vec<u8>,
    at: usize,
    /// How far a string that has not ended was looked through, the last escape in it, and whether it is not wanted.
    seen: usize,
    escape: usize,
    ignoring: bool,
    place: Place,
    expect: Expect,
    /// Where the next value is, if it is on a path.
    node: Option<usize>,
    stack: Vec<Frame>,
    /// Keys of the objects in `stack` that are on a path.
    keys: Vec<String>,
    in_row: bool,
    row: Vec<Option<String>>,
    wrong: Option<Lost>,
    found: Found,
    broken: Option<Broken>,
    /// Whether there is one value.
    single: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    /// Nothing, after the one value of a line.
    Nothing,
}

/// An object or an array that has begun.
#[derive(Debug)]
struct Frame {
    object: bool,
    /// Itself, of an object on a path; where its elements are, of an array.
    node: Option<usize>,
    met: Vec<bool>,
    keys: usize,
    row: bool,
}

enum Stop {
    /// More is needed.
    More,
    /// It is broken, this many bytes into the data.
    Broken(usize, String),
}

type Step = Result<(), Stop>;

impl Reader {
    /// A reader of what is at `paths`.
    #[must_use]
    pub fn new(paths: Arc<Paths>) -> Self {
        let columns = paths.names.len();
        Self {
            paths,
            data: Vec::new(),
            at: 0,
            seen: 0,
            escape: 0,
            ignoring: false,
            place: Place::default(),
            expect: Expect::Value,
            node: Some(0),
            stack: Vec::new(),
            keys: Vec::new(),
            in_row: false,
            row: vec![None; columns],
            wrong: None,
            found: Found::new(columns),
            broken: None,
            single: false,
        }
    }

    /// Read on; returns whether so much was found that it is worth taking. Behind where it is broken nothing is read.
    pub fn feed(&mut self, piece: &[u8]) -> bool {
        if self.broken.is_none() {
            self.data.extend_from_slice(piece);
            self.work(false);
        }
        self.found.bytes >= SIZE
    }

    /// There is nothing more to read.
    pub fn end(&mut self) {
        if self.broken.is_none() {
            self.work(true);
        }
    }

    /// What was found since this was last asked for.
    pub fn take(&mut self) -> Found {
        std::mem::replace(&mut self.found, Found::new(self.row.len()))
    }

    /// The columns that are read.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.paths.names
    }

    /// Where it is broken, if it is.
    #[must_use]
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    fn work(&mut self, last: bool) {
        let data = take(&mut self.data);
        if let Err(Stop::Broken(end, why)) = self.run(&data, last) {
            self.broken = Some((self.place.line(&data, end), self.place.column(&data[..end]), why));
        }
        self.data = data;
        self.let_go(0, self.at);
        if take(&mut self.ignoring) && self.data.len() > SIZE {
            self.shorten();
        }
    }

    fn let_go(&mut self, from: usize, to: usize) {
        self.place.let_go(&mut self.data, from, to);
        self.at = 0;
        self.seen = self.seen.saturating_sub(to - from);
        self.escape = self.escape.saturating_sub(to - from);
    }

    fn run(&mut self, data: &[u8], last: bool) -> Step {
        loop {
            while data.get(self.at).is_some_and(|byte| b" \n\t\r".contains(byte)) {
                self.at += 1;
            }
            let Some(&byte) = data.get(self.at) else { return if last { self.ended(data.len()) } else { Ok(()) } };
            let object = self.stack.last().map(|frame| frame.object);
            match (self.expect, byte) {
                (Expect::ValueOrEnd, b']') | (Expect::KeyOrEnd, b'}') => self.close(data),
                (Expect::CommaOrEnd, b']') if object == Some(false) => self.close(data),
                (Expect::CommaOrEnd, b'}') if object == Some(true) => self.close(data),
                (Expect::CommaOrEnd, b',') => {
                    self.at += 1;
                    self.node = self.stack.last().filter(|frame| !frame.object).and_then(|frame| frame.node);
                    self.expect = if object == Some(true) { Expect::Key } else { Expect::Value };
                }
                (Expect::Colon, b':') => {
                    self.at += 1;
                    self.expect = Expect::Value;
                }
                (Expect::Key | Expect::KeyOrEnd, b'"') => self.key(data, last)?,
                (Expect::Value | Expect::ValueOrEnd, b'"') => self.string(data, last)?,
                (Expect::Value | Expect::ValueOrEnd, b'[' | b'{') => self.open(data, byte == b'{')?,
                (Expect::Key, b'}') => return self.stop("trailing comma"),
                (Expect::Value, b']') if object == Some(false) => return self.stop("trailing comma"),
                (Expect::Value | Expect::ValueOrEnd, _) => self.scalar(data, last)?,
                (Expect::Key | Expect::KeyOrEnd, _) => return self.stop("key must be a string"),
                (Expect::Colon, _) => return self.stop("expected `:`"),
                (Expect::CommaOrEnd, _) if object == Some(true) => return self.stop("expected `,` or `}`"),
                (Expect::CommaOrEnd, _) => return self.stop("expected `,` or `]`"),
                (Expect::Nothing, _) => return self.stop("trailing characters"),
            }
        }
    }

    fn stop(&self, why: &str) -> Step {
        Err(Stop::Broken(self.at + 1, why.to_owned()))
    }

    fn ended(&self, end: usize) -> Step {
        let what = match (self.expect, self.stack.last()) {
            (_, None) => return Ok(()),
            (Expect::Value | Expect::Key, _) => "a value",
            (_, Some(frame)) if frame.object => "an object",
            _ => "a list",
        };
        Err(Stop::Broken(end, format!("EOF while parsing {what}")))
    }

    fn open(&mut self, data: &[u8], object: bool) -> Step {
        if self.stack.len() == DEEPEST {
            return self.stop("recursion limit exceeded");
        }
        self.at += 1;
        let paths = self.paths.clone();
        let (mut node, mut row) = (None, false);
        if let Some(here) = self.node {
            let place = &paths.nodes[here];
            if self.stack.is_empty() && !object && !place.keys.is_empty() {
                node = Some(here); // its elements stand for it
            } else {
                row = self.begin(place.row);
                node = if object { Some(here).filter(|_| !place.keys.is_empty()) } else { place.each };
                if node.is_none() {
                    self.note(data, || paths.other(place, if object { "an object" } else { "an array" }));
                }
            }
        }
        let met = node.filter(|_| object).map_or(Vec::new(), |node| vec![false; paths.nodes[node].keys.len()]);
        self.stack.push(Frame { object, node, met, keys: self.keys.len(), row });
        self.expect = if object { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
        self.node = node.filter(|_| !object);
        Ok(())
    }

    fn close(&mut self, data: &[u8]) {
        self.at += 1;
        let Some(frame) = self.stack.pop() else { return };
        if let (true, Some(node)) = (frame.object, frame.node) {
            let paths = self.paths.clone();
            let mut keys = self.keys.split_off(frame.keys);
            keys.sort();
            for ((key, _), _) in paths.nodes[node].keys.iter().zip(&frame.met).filter(|(_, met)| !**met) {
                self.note(data, || format!("no key {key:?} in {keys:?}"));
            }
        }
        self.done(data, frame.row);
    }

    fn key(&mut self, data: &[u8], last: bool) -> Step {
        let frame = self.stack.len() - 1;
        let Some(node) = self.stack[frame].node else {
            self.ignored(data, last)?;
            self.expect = Expect::Colon;
            return Ok(());
        };
        let end = self.string_end(data, last)?;
        let key = self.text(&data[self.at..end])?;
        let (paths, frame) = (&self.paths, &mut self.stack[frame]);
        self.node = None;
        if let Some(number) = paths.nodes[node].keys.iter().position(|(wanted, _)| *wanted == key)
            && !frame.met[number]
        {
            frame.met[number] = true;
            self.node = Some(paths.nodes[node].keys[number].1);
        }
        if self.keys.len() < frame.keys + 20 && frame.met.contains(&false) {
            self.keys.push(key.into_owned());
        }
        self.at = end;
        self.expect = Expect::Colon;
        Ok(())
    }

    fn string(&mut self, data: &[u8], last: bool) -> Step {
        let Some(node) = self.node else {
            self.ignored(data, last)?;
            self.done(data, false);
            return Ok(());
        };
        let paths = self.paths.clone();
        let place = &paths.nodes[node];
        let end = self.string_end(data, last)?;
        let token = &data[self.at..end];
        let text = match self.text(token) {
            Ok(text) => Some(text.into_owned()),
            // Of JSON's grammar, and no text: half of a surrogate pair is no character.
            Err(_) if from_utf8(token).is_ok() && self.whole::<IgnoredAny>(token).is_ok() => None,
            Err(stop) => return Err(stop),
        };
        self.at = end;
        let row = self.begin(place.row);
        match (place.text, text) {
            (Some(column), Some(text)) => self.row[column] = Some(text),
            (Some(_), None) => self.note(data, || "holds half of a surrogate pair; wanted text".to_owned()),
            (None, _) => self.note(data, || paths.other(place, "a string")),
        }
        self.done(data, row);
        Ok(())
    }

    /// A number, true, false or null; or what is none.
    fn scalar(&mut self, data: &[u8], last: bool) -> Step {
        let rest = &data[self.at..];
        let most = match rest[0] {
            b't' | b'n' => 4,
            b'f' => 5,
            b'-' | b'0'..=b'9' => rest.iter().position(|byte| !b"+-.0123456789Ee".contains(byte)).unwrap_or(rest.len()),
            _ => 0,
        };
        if most > NUMBER {
            return Err(Stop::Broken(self.at + NUMBER, "number out of range".to_owned()));
        }
        if rest.len() <= most && !last {
            return Err(Stop::More);
        }
        // With what follows, of which it can be told that it is no part of it.
        let token = &rest[..rest.len().min(most + 1)];
        let size = match self.whole::<IgnoredAny>(token) {
            Err(Stop::Broken(end, why)) if why == "trailing characters" => end - 1 - self.at,
            Err(Stop::Broken(end, _)) if last && end == data.len() && rest.len() <= most => {
                return Err(Stop::Broken(end, "EOF while parsing a value".to_owned()));
            }
            read => read.map(|_| rest.len().min(most))?,
        };
        self.at += size;
        let mut row = false;
        if let Some(node) = self.node {
            let paths = self.paths.clone();
            row = self.begin(paths.nodes[node].row);
            let shown = String::from_utf8_lossy(&rest[..size.min(40)]);
            self.note(data, || paths.other(&paths.nodes[node], &shown));
        }
        self.done(data, row);
        Ok(())
    }

    /// A string that is not wanted, which may be of gigabytes.
    fn ignored(&mut self, data: &[u8], last: bool) -> Step {
        let Ok(end) = self.string_end(data, last) else {
            self.ignoring = true;
            return Err(Stop::More);
        };
        self.whole::<IgnoredAny>(&data[self.at..end])?;
        self.at = end;
        Ok(())
    }

    /// Let go of the beginning of a string that is not wanted: of whole escapes, so that what is left is one too.
    fn shorten(&mut self) {
        let end = if self.seen < self.escape + ESCAPE { self.escape } else { self.seen };
        let mut token = self.data[..end].to_vec();
        token.push(b'"');
        if let Err(Stop::Broken(end, why)) = self.whole::<IgnoredAny>(&token) {
            self.broken = Some((self.place.line(&token, 0), self.place.column(&token[..end]), why));
        }
        self.let_go(1, end);
    }

    /// Where the string that begins here ends, or all that there is.
    fn string_end(&mut self, data: &[u8], last: bool) -> Result<usize, Stop> {
        let mut from = self.seen.max(self.at + 1);
        if self.seen == 0 {
            self.escape = 0;
        }
        while let Some(more) = memchr::memchr2(b'"', b'\\', &data[from..]) {
            let found = from + more;
            if data[found] == b'"' {
                self.seen = 0;
                return Ok(found + 1);
            }
            self.escape = found;
            if found + 2 > data.len() {
                from = found;
                break;
            }
            from = found + 2;
            self.seen = from;
        }
        if last {
            return Ok(data.len());
        }
        self.seen = if from < data.len() && data[from] == b'\\' { from } else { data.len() };
        Err(Stop::More)
    }

    fn text<'a>(&self, token: &'a [u8]) -> Result<Cow<'a, str>, Stop> {
        match memchr::memchr(b'\\', token) {
            Some(_) => self.whole::<String>(token).map(Cow::Owned),
            None => self.whole::<&str>(token).map(Cow::Borrowed),
        }
    }

    /// What stands here, as `serde_json` reads it.
    fn whole<'a, T: Deserialize<'a>>(&self, token: &'a [u8]) -> Result<T, Stop> {
        serde_json::from_slice(token).map_err(|error| {
            let newline = || memchr::memchr(b'\n', token).unwrap_or(token.len()); // it stands in a string, or behind
            Stop::Broken(self.at + if error.line() == 1 { error.column() } else { newline() }, why(&error))
        })
    }

    /// Begin a row, if one begins here.
    fn begin(&mut self, row: bool) -> bool {
        if row {
            self.row.fill(None);
            (self.in_row, self.wrong) = (true, None);
        }
        row
    }

    /// Note what is wrong, with the row if there is one.
    fn note(&mut self, data: &[u8], what: impl FnOnce() -> String) {
        if self.in_row && self.wrong.is_some() {
            return;
        }
        let wrong = Some((self.place.line(data, self.at), what()));
        if self.in_row {
            self.wrong = wrong;
        } else {
            self.found.add(&mut [], wrong);
        }
    }

    /// Go on after a value, with which a row may have ended.
    fn done(&mut self, data: &[u8], row: bool) {
        if row {
            let lacking = |text: &Option<String>| text.as_ref().is_none_or(|text| self.paths.filled && text.is_empty());
            if let Some(column) = self.row.iter().position(lacking) {
                let name = self.paths.names[column].clone();
                self.note(data, || format!("found \"\" in {name:?}; wanted a string that is not empty"));
            }
            self.in_row = false;
            self.found.add(&mut self.row, self.wrong.take());
        }
        let outside = self.stack.is_empty();
        self.node = Some(0).filter(|_| outside);
        self.expect = match outside {
            false => Expect::CommaOrEnd,
            true if self.single => Expect::Nothing,
            true => Expect::Value,
        };
    }
}

/// Read a block of lines, each a JSON value; a line that is broken gives nothing, and a reason.
#[must_use]
pub fn lines(block: &[u8], first: u64, paths: &Arc<Paths>) -> Found {
    let mut reader = Reader::new(paths.clone());
    reader.single = true;
    let block = block.strip_suffix(b"\n").unwrap_or(block);
    for (number, text) in (first..).zip(block.split(|&byte| byte == b'\n')) {
        if text.iter().all(|byte| b" \t\r".contains(byte)) {
            continue;
        }
        reader.place.number = number;
        let (rows, lost) = (reader.found.columns[0].len(), reader.found.lost.len());
        reader.data.extend_from_slice(text);
        reader.work(true);
        let broken = reader.broken.take();
        let found = reader.take();
        reader = Reader { single: true, found, ..Reader::new(paths.clone()) };
        if let Some((_, column, why)) = broken {
            reader.found.columns.iter_mut().for_each(|column| column.truncate(rows));
            reader.found.lost.truncate(lost);
            reader.found.lost.push((number, format!("{why} at character {column}")));
        }
    }
    reader.found
}

/// What an error says but for the place.
fn why(error: &serde_json::Error) -> String {
    let said = error.to_string();
    said.rfind(" at line ").map_or(said.clone(), |end| said[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::paths::Step;

    fn paths(columns: &[&[&str]], filled: bool) -> Arc<Paths> {
        let names = columns.iter().map(|path| path.join(".")).collect();
        let steps = |path: &&[&str]| path.iter().map(|step| Step::from((*step).to_owned())).collect();
        Arc::new(Paths::new(names, &columns.iter().map(steps).collect::<Vec<_>>(), filled).expect("they are paths"))
    }

    /// What is read of pieces of so many bytes.
    fn fed(json: &[u8], paths: &Arc<Paths>, size: usize) -> (Found, Option<Broken>) {
        let mut reader = Reader::new(paths.clone());
        let mut found = Found::new(paths.names.len());
        let mut keep = |more: Found| {
            found.columns.iter_mut().zip(more.columns).for_each(|(column, more)| column.extend(more));
            found.lost.extend(more.lost);
        };
        for piece in json.chunks(size) {
            reader.feed(piece);
            keep(reader.take());
        }
        reader.end();
        keep(reader.take());
        (found, reader.broken().cloned())
    }

    fn all(json: &str, steps: &[&str]) -> (Vec<String>, Vec<Lost>, Option<Broken>) {
        let mut each = [1, 2, 7, 1 << 20].map(|size| {
            let (mut found, broken) = fed(json.as_bytes(), &paths(&[steps], false), size);
            (found.columns.remove(0), found.lost, broken)
        });
        assert!(each.iter().all(|one| *one == each[0]), "wherever a piece ends: {each:?}");
        take(&mut each[0])
    }

    #[test]
    fn a_path_goes_into_objects_and_arrays() {
        let json = r#"{"id": 1, "document": [{"paragraph": [{"form": "가"}, {"form": "\ub098"}]}, {"paragraph": []}]}"#;
        let (texts, lost, broken) = all(json, &["document", "[]", "paragraph", "[]", "form"]);
        assert_eq!((texts, lost, broken), (vec!["가".into(), "나".into()], vec![], None));
        for root in [r#"[{"ko": "a"}, {"ko": "b"}]"#, "{\"ko\": \"a\", \"ko\": \"c\"}\n {\"ko\": \"b\"} "] {
            assert_eq!(all(root, &["ko"]).0, ["a", "b"]);
        }
        assert_eq!(all(r#"["a", "b"]"#, &["[]"]).0, ["a", "b"]);
    }

    #[test]
    fn what_is_no_text_is_told_by_its_line() {
        let json = "[{\"ko\": \"a\"},\n{\"en\": \"b\", \"a\": 1},\n{\"ko\":\n null}, {\"ko\": [1]}, 5]";
        let (texts, lost, broken) = all(json, &["ko"]);
        assert_eq!((texts, broken), (vec!["a".into()], None));
        let said: Vec<_> = lost.iter().map(|(line, what)| (*line, what.as_str())).collect();
        let each = "found an array; wanted a string; a path goes into each element by []";
        let expected = [
            (2, "no key \"ko\" in [\"a\", \"en\"]"),
            (4, "found null; wanted a string"),
            (4, each),
            (4, "found 5; wanted an object with the key \"ko\""),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn rows_have_all_their_texts_or_are_lost() {
        let json = r#"{"id": "x", "data": [{"t": {"ko": "가", "en": "a"}, "id": "1"},
            {"t": {"ko": null, "en": 5}, "id": "2"}, {"t": {"en": "c", "ko": "다"}, "id": ""},
            {"id": "4"}, 5, {"id": "6", "t": {"en": "f", "ko": "바", "ko": "사"}}]}"#;
        let columns: [&[&str]; 3] = [&["data", "[]", "t", "en"], &["data", "[]", "t", "ko"], &["data", "[]", "id"]];
        for size in [1, 5, 1000] {
            let (found, broken) = fed(json.as_bytes(), &paths(&columns, true), size);
            assert_eq!(found.columns, [["a", "f"], ["가", "바"], ["1", "6"]]);
            let said: Vec<_> = found.lost.iter().map(|(line, what)| (*line, what.as_str())).collect();
            let expected = [
                (2, "found null in \"data.[].t.ko\"; wanted a string"),
                (2, "found \"\" in \"data.[].id\"; wanted a string that is not empty"),
                (3, "no key \"t\" in [\"id\"]"),
                (3, "found 5; wanted an object with the keys \"t\" and \"id\""),
            ];
            assert_eq!((said.as_slice(), broken), (expected.as_slice(), None));
        }
        let other: [&[&str]; 2] = [&["data", "[]", "en"], &["other", "[]", "ko"]];
        let names = vec![String::new(), String::new()];
        assert!(
            Paths::new(names, &other.map(|path| path.iter().map(|s| Step::from((*s).to_owned())).collect()), true)
                .is_err()
        );
    }

    #[test]
    fn texts_before_damage_are_given_and_the_place_is_told() {
        for (json, line, column, why) in [
            ("[{\"ko\": \"a\"},\n{\"ko\": \"b", 2, 9, "EOF while parsing a string"),
            ("{\"ko\": \"a\"}\n}", 2, 1, "expected value"),
            ("[{\"가나\": 5, \"ko\": \"a\"} x", 1, 23, "expected `,` or `]`"),
            ("[{\"ko\": \"a\"},]", 1, 14, "trailing comma"),
            ("[{\"ko\": \"a\"},{\"x\": 01}]", 1, 21, "invalid number"),
            ("[{\"ko\": \"a\"},{\"x\": nul}]", 1, 23, "expected ident"),
            ("[{\"ko\": \"a\"},{\"x\": \"\\q\"}]", 1, 22, "invalid escape"),
            ("[{\"ko\": \"a\"},{5: 1}]", 1, 15, "key must be a string"),
            ("[{\"ko\": \"a\"},{\"x\" 1}]", 1, 19, "expected `:`"),
            ("[{\"ko\": \"a\", \"x\"", 1, 16, "EOF while parsing an object"),
            ("[{\"ko\": \"a\"}, -1.", 1, 17, "EOF while parsing a value"),
            ("[{\"ko\": \"a\"},{\"ko\"", 1, 18, "EOF while parsing an object"),
            (
                "[{\"ko\": \"a\"},{\"x\": \"a\nb\"}]",
                1,
                21,
                "control character (\\u0000-\\u001F) found while parsing a string",
            ),
        ] {
            let (texts, lost, broken) = all(json, &["ko"]);
            assert_eq!((texts, lost), (vec!["a".into()], vec![]), "{json}");
            assert_eq!(broken, Some((line, column, why.to_owned())), "{json}");
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_costs_its_own_text_alone() {
        let said = (1, "holds half of a surrogate pair; wanted text".to_owned());
        for half in ["\\ud800", "\\udc00", "\\ud83d b", "\\ud83d\\u0041"] {
            let json = format!("[{{\"ko\": \"a\"}}, {{\"ko\": \"{half}\"}}, {{\"ko\": \"b\"}}]");
            assert_eq!(all(&json, &["ko"]), (vec!["a".into(), "b".into()], vec![said.clone()], None), "{json}");
        }
    }

    #[test]
    fn a_broken_line_gives_nothing_and_the_next_is_read() {
        let block = b"{\"d\": [{\"t\": \"a\"}, {\"t\": \"b\"}]}\r\n\n{\"d\": [{\"t\": \"c\"}, {\"t\"\n{\"d\": [{\"t\": \"d\"}]}\n{} {}";
        let found = lines(block, 7, &paths(&[&["d", "[]", "t"]], false));
        assert_eq!(found.columns, [["a", "b", "d"]]);
        assert_eq!(found.lost.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [9, 11]);
        assert_eq!(found.lost[1].1, "trailing characters at character 4");
    }

    #[test]
    fn what_is_not_wanted_is_not_held() {
        let mut reader = Reader::new(paths(&[&["ko"]], false));
        let long = "\\u0041가\\n".repeat(SIZE / 10);
        assert!(!reader.feed(b"{\"image\": \""));
        for piece in long.as_bytes().chunks(1_000_003).cycle().take(20) {
            assert!(!reader.feed(piece));
            assert!(reader.data.len() < SIZE + 2_000_000);
        }
        assert!(!reader.feed("\", \"ko\": \"가\"}".as_bytes()));
        reader.end();
        assert_eq!((reader.take().columns, reader.broken()), (vec![vec!["가".to_owned()]], None));
        reader = Reader::new(paths(&[&["ko"]], false));
        reader.feed(format!("\n{{\"image\": \"{}\\q{long}\"", "가".repeat(SIZE)).as_bytes());
        reader.end();
        assert_eq!(reader.broken(), Some(&(2, 13 + SIZE as u64, "invalid escape".into())));
    }

    #[test]
    fn deep_values_are_refused_without_a_word_of_the_stack() {
        let (_, broken) = fed(&vec![b'['; DEEPEST + 1], &paths(&[&["ko"]], false), 1 << 16);
        assert_eq!(broken.expect("it is too deep").2, "recursion limit exceeded");
    }
}
