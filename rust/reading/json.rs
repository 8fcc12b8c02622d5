//! The texts at a path in JSON: `document[].paragraph[].form`. Nothing else of it is kept, so a value may be of gigabytes.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

/// Bytes of text, about, that are handed over at a time.
const SIZE: usize = 4 << 20;

/// A step from a value into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To each element of an array.
    Each,
}

impl From<String> for Step {
    fn from(step: String) -> Self {
        if step == "[]" { Self::Each } else { Self::Key(step) }
    }
}

/// What stood where a text was wanted, and in which line.
pub type Lost = (u64, String);

/// Texts in their order, and what stood in the place of others.
#[derive(Debug, Default)]
pub struct Found {
    /// The texts.
    pub texts: Vec<String>,
    /// What was no text.
    pub lost: Vec<Lost>,
    bytes: usize,
}

/// Where JSON is broken, if it is: the line, the character's number in it, and why.
pub type Broken = Option<(usize, usize, String)>;

/// Read JSON values, one after the other, to the end of `source`, or to where they are broken.
///
/// A value that is an array stands for its elements, unless the path begins with those. Of keys of one name it is the
/// first that counts.
///
/// # Errors
/// Those of `source` and of `put`.
pub fn read<R: Read>(source: R, steps: &[Step], put: &mut dyn FnMut(Found) -> io::Result<()>) -> io::Result<Broken> {
    let line = Rc::new(Cell::new(1));
    let mut json = serde_json::Deserializer::from_reader(Counted { source, line: line.clone() });
    let mut sink = Sink { found: Found::default(), line, put: Some(put), failed: None };
    let error = loop {
        match json.end() {
            Ok(()) => break None,
            Err(error) if error.is_io() => break Some(error),
            Err(_) => {}
        }
        if let Err(error) = (At { steps, root: true, sink: &mut sink }).deserialize(&mut json) {
            break Some(error);
        }
    };
    let Sink { found, put, failed, .. } = sink;
    if let Some(failed) = failed {
        return Err(failed);
    }
    put.map_or(Ok(()), |put| put(found))?; // what was read before it broke
    match error {
        Some(error) if error.is_io() => Err(error.into()),
        error => Ok(error.map(|error| (error.line(), error.column(), why(&error)))),
    }
}

/// Read a block of lines, each a JSON value; a line that is broken gives nothing, and a reason.
#[must_use]
pub fn lines(block: &[u8], first: u64, steps: &[Step]) -> Found {
    let line = Rc::new(Cell::new(first));
    let mut sink = Sink { found: Found::default(), line: line.clone(), put: None, failed: None };
    let block = block.strip_suffix(b"\n").unwrap_or(block);
    for (number, text) in (first..).zip(block.split(|&byte| byte == b'\n')) {
        if text.iter().all(|byte| b" \t\r".contains(byte)) {
            continue;
        }
        line.set(number);
        let (texts, lost) = (sink.found.texts.len(), sink.found.lost.len());
        let mut json = serde_json::Deserializer::from_slice(text);
        let read = (At { steps, root: true, sink: &mut sink }).deserialize(&mut json).and_then(|()| json.end());
        if let Err(error) = read {
            sink.found.texts.truncate(texts);
            sink.found.lost.truncate(lost);
            sink.found.lost.push((number, format!("{} at character {}", why(&error), error.column())));
        }
    }
    sink.found
}

/// What an error says but for the place.
fn why(error: &serde_json::Error) -> String {
    let said = error.to_string();
    said.rfind(" at line ").map_or(said.clone(), |end| said[..end].to_owned())
}

/// A reader that counts lines, for what is in the middle of a value.
struct Counted<R> {
    source: R,
    line: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.source.read(buffer)?;
        let more = memchr::memchr_iter(b'\n', &buffer[..size]).count();
        if more > 0 {
            self.line.set(self.line.get() + more as u64);
        }
        Ok(size)
    }
}

struct Sink<'p> {
    found: Found,
    line: Rc<Cell<u64>>,
    put: Option<&'p mut dyn FnMut(Found) -> io::Result<()>>,
    failed: Option<io::Error>,
}

impl Sink<'_> {
    fn text<E: de::Error>(&mut self, text: String) -> Result<(), E> {
        self.found.bytes += text.len();
        self.found.texts.push(text);
        self.full()
    }

    fn lost<E: de::Error>(&mut self, what: String) -> Result<(), E> {
        self.found.bytes += what.len();
        self.found.lost.push((self.line.get(), what));
        self.full()
    }

    fn full<E: de::Error>(&mut self) -> Result<(), E> {
        if self.found.bytes < SIZE {
            return Ok(());
        }
        let Some(put) = &mut self.put else { return Ok(()) };
        put(std::mem::take(&mut self.found)).map_err(|error| {
            self.failed = Some(error);
            E::custom("stopped")
        })
    }
}

/// The place that the path has led to: what remains of it.
struct At<'a, 'p> {
    steps: &'a [Step],
    root: bool,
    sink: &'a mut Sink<'p>,
}

impl At<'_, '_> {
    /// Note that something else stands here.
    fn other<E: de::Error>(self, found: &str) -> Result<(), E> {
        let wanted = match self.steps.first() {
            None => "a string".to_owned(),
            Some(Step::Each) => "an array".to_owned(),
            Some(Step::Key(key)) => format!("an object with the key {key:?}"),
        };
        let advice = if found == "an array" { "; a path goes into each element by []" } else { "" };
        self.sink.lost(format!("found {found}; wanted {wanted}{advice}"))
    }
}

impl<'de> DeserializeSeed<'de> for At<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(Step::Key(wanted)) = self.steps.first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return self.other("an object");
        };
        let (mut others, mut met) = (Vec::new(), false);
        while let Some(key) = map.next_key::<String>()? {
            if !met && key == *wanted {
                met = true;
                map.next_value_seed(At { steps: &self.steps[1..], root: false, sink: self.sink })?;
                continue;
            }
            map.next_value::<IgnoredAny>()?;
            if !met && others.len() < 20 {
                others.push(key);
            }
        }
        if met {
            return Ok(());
        }
        others.sort();
        self.sink.lost(format!("no key {wanted:?} in {others:?}"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let steps = match self.steps {
            [Step::Each, rest @ ..] => rest,
            steps @ [Step::Key(_), ..] if self.root => steps,
            _ => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return self.other("an array");
            }
        };
        while seq.next_element_seed(At { steps, root: false, sink: self.sink })?.is_some() {}
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if self.steps.is_empty() { self.sink.text(text.to_owned()) } else { self.other("a string") }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.other(if value { "true" } else { "false" })
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.other(&value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.other(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.other(&Unexpected::Float(value).to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.other("null")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(steps: &[&str]) -> Vec<Step> {
        steps.iter().map(|step| Step::from((*step).to_owned())).collect()
    }

    fn all(json: &str, steps: &[&str]) -> (Vec<String>, Vec<Lost>, Broken) {
        let (mut texts, mut lost) = (Vec::new(), Vec::new());
        let broken = read(json.as_bytes(), &path(steps), &mut |found| {
            texts.extend(found.texts);
            lost.extend(found.lost);
            Ok(())
        });
        (texts, lost, broken.expect("nothing fails here"))
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
    fn texts_before_damage_are_given() {
        for (json, line) in [
            ("[{\"ko\": \"a\"},\n{\"ko\": \"b", 2),
            ("{\"ko\": \"a\"}\n}", 2),
            ("{\"ko\": \"a\"}{\"ko\": \"\\ud800\"}", 1),
        ] {
            let (texts, lost, broken) = all(json, &["ko"]);
            assert_eq!((texts, lost), (vec!["a".into()], vec![]));
            assert_eq!(broken.expect("it is broken").0, line);
        }
    }

    #[test]
    fn a_broken_line_gives_nothing_and_the_next_is_read() {
        let block = b"{\"d\": [{\"t\": \"a\"}, {\"t\": \"b\"}]}\r\n\n{\"d\": [{\"t\": \"c\"}, {\"t\"\n{\"d\": [{\"t\": \"d\"}]}\n";
        let found = lines(block, 7, &path(&["d", "[]", "t"]));
        assert_eq!(found.texts, ["a", "b", "d"]);
        assert_eq!(found.lost.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn it_stops_where_it_is_told_to() {
        let json = format!("[{}]", vec![format!("{{\"ko\": \"{}\"}}", "가".repeat(1000)); 5000].join(","));
        let mut calls = 0;
        let stopped = read(json.as_bytes(), &path(&["ko"]), &mut |_| {
            calls += 1;
            Err(io::Error::other("enough"))
        });
        assert_eq!((calls, stopped.expect_err("it was stopped").to_string()), (1, "enough".into()));
    }
}
