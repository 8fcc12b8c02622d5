//! The text at one key of a line of JSON, where that is beyond doubt. All of the line is looked through: one that Polars,
//! Python and this module might read in different ways is left to those who tell what is wrong with it.

use std::borrow::Cow;

use memchr::memchr2;

/// Values in values that are followed here, at most.
const DEEPEST: usize = 64;

/// What a line holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// White space.
    Blank,
    /// A text at the key.
    Text(Cow<'a, str>),
    /// Something else, or something that is to be looked at more slowly.
    Unsure,
}

/// What `line`, without its newline, holds at `key`; `controls` says that there may be control characters in it. O(bytes).
pub(super) fn read<'a>(line: &'a str, key: &str, controls: bool) -> Line<'a> {
    let mut scan = Scan { text: line, at: 0, controls };
    scan.space();
    if scan.at == line.len() {
        return Line::Blank;
    }
    scan.document(key).map_or(Line::Unsure, Line::Text)
}

/// A place in a line; what is passed over by a method that gives `None` is unsure.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    controls: bool,
}

/// What stands between two quotes, and whether there are escapes in it.
type Quoted<'a> = (&'a str, bool);

impl<'a> Scan<'a> {
    fn document(&mut self, key: &str) -> Option<Cow<'a, str>> {
        let mut found: Option<Quoted<'a>> = None;
        self.take(b'{')?;
        self.space();
        while self.peek()? != b'}' {
            self.take(b'"')?;
            let (name, escaped) = self.string()?;
            if escaped {
                return None; // it may be the key, written in another way
            }
            self.colon()?;
            if name == key && found.is_none() {
                self.take(b'"')?;
                found = Some(self.string()?);
            } else {
                self.value(0)?;
            }
            self.comma(b'}')?;
        }
        self.at += 1;
        self.space();
        let (text, escaped) = found.filter(|_| self.at == self.text.len())?;
        Some(if escaped { Cow::Owned(unescaped(text)?) } else { Cow::Borrowed(text) })
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn colon(&mut self) -> Option<()> {
        self.space();
        self.take(b':')?;
        self.space();
        Some(())
    }

    /// A comma and what stands before the next item, or nothing where `end` is next.
    fn comma(&mut self, end: u8) -> Option<()> {
        self.space();
        if self.peek()? == b',' {
            self.at += 1;
            self.space();
            return (self.peek()? != end).then_some(());
        }
        (self.peek()? == end).then_some(())
    }

    /// From behind a quote to behind the next.
    #[inline]
    fn string(&mut self) -> Option<Quoted<'a>> {
        let (bytes, start, mut escaped) = (self.bytes(), self.at, false);
        loop {
            self.at += memchr2(b'"', b'\\', &bytes[self.at..])?;
            if bytes[self.at] == b'"' {
                break;
            }
            escaped = true;
            self.at += match bytes.get(self.at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                b'u' => unit(&bytes[self.at..]).map(|(_, length)| length)?,
                _ => return None,
            };
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        (!self.controls || text.bytes().all(|byte| byte >= b' ')).then_some((text, escaped))
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth == DEEPEST {
            return None;
        }
        let first = self.peek()?;
        match first {
            b'"' => {
                self.at += 1;
                self.string()?;
            }
            b'{' | b'[' => {
                let end = first + 2;
                self.at += 1;
                self.space();
                while self.peek()? != end {
                    if end == b'}' {
                        self.take(b'"')?;
                        self.string()?;
                        self.colon()?;
                    }
                    self.value(depth + 1)?;
                    self.comma(end)?;
                }
                self.at += 1;
            }
            b'-' | b'0'..=b'9' => self.number()?,
            _ => {
                let rest = &self.bytes()[self.at..];
                let known = [&b"null"[..], b"true", b"false"];
                self.at += known.into_iter().find(|word| rest.starts_with(word))?.len();
            }
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.peek()? == b'-');
        let zero = self.peek()? == b'0';
        if self.digits()? > 1 && zero {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek()?, b'+' | b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<usize> {
        let count = self.bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(count)
    }
}

/// The character that `\uXXXX`, or a pair of these, stands for, and how many bytes it takes; of half a pair nothing.
fn unit(escape: &[u8]) -> Option<(char, usize)> {
    let high = four(escape)?;
    if let Some(found) = char::from_u32(high) {
        return Some((found, 6));
    }
    let low = escape.get(6..).filter(|rest| rest.starts_with(b"\\u")).and_then(four)?;
    if high >= 0xDC00 || !(0xDC00..0xE000).contains(&low) {
        return None;
    }
    char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)).map(|found| (found, 12))
}

fn four(escape: &[u8]) -> Option<u32> {
    let digits = escape.get(2..6)?.iter().map(|byte| char::from(*byte).to_digit(16));
    digits.reduce(|all, digit| Some(all? * 16 + digit?))?
}

/// A text whose escapes are known to be such.
fn unescaped(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut whole = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(more) = memchr::memchr(b'\\', &bytes[at..]) {
        whole.push_str(&text[at..at + more]);
        at += more;
        let (found, length) = match bytes.get(at + 1)? {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => unit(&bytes[at..])?,
            other => (char::from(*other), 2),
        };
        whole.push(found);
        at += length;
    }
    whole.push_str(&text[at..]);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Whether what is said of a line is what `serde_json` says; an object with two keys of one name is not compared.
    fn agrees(line: &str) -> bool {
        let known: Result<Value, _> = serde_json::from_str(line);
        match read(line, "text", true) {
            Line::Blank => line.trim_matches([' ', '\t', '\r']).is_empty(),
            Line::Text(text) => known.is_ok_and(|value| value["text"] == *text || line.matches("\"text\"").count() > 1),
            Line::Unsure => true,
        }
    }

    #[test]
    fn what_is_plain_is_read() {
        for (line, text) in [
            (r#"{"text":"가 \"나\" \u0041\ud83d\ude00\/\n","id":-1.5e+3}"#, "가 \"나\" A😀/\n"),
            (" { \"a\" : [ { \"text\" : 5 }, [], {}, null ] , \"text\" : \"\" , \"text\": 7 } \r", ""),
            (r#"{"b":true,"c":false,"d":0,"text":"\u0000"}"#, "\0"),
        ] {
            assert_eq!(read(line, "text", true), Line::Text(text.into()), "{line}");
        }
        assert_eq!(read(" \t\r", "text", true), Line::Blank);
    }

    #[test]
    fn what_is_not_plain_is_left_to_others() {
        for line in [
            "5",
            "[]",
            "{}",
            r#"{"text":5}"#,
            r#"{"text":null}"#,
            r#"{"text":"a"} x"#,
            r#"{"text":"a"}{}"#,
            r#"{"text":"a""#,
            r#"{"text":"a",}"#,
            r#"{"text":"\ud800"}"#,
            r#"{"text":"\ud800\u0041"}"#,
            r#"{"text":"\q"}"#,
            r#"{"text":"a","b":01}"#,
            r#"{"text":"a","b":1.}"#,
            r#"{"text":"a","b":nul}"#,
            r#"{"te\u0078t":"a","text":"b"}"#,
            "{\"text\":\"\t\"}",
            r#"{"text":"a","b":NaN}"#,
            r#"{"text":"a","b":[1,]}"#,
            r#"{"text":"\udc00\ud800"}"#,
            r#"{"text":"\u00+1"}"#,
            "\u{feff}{}",
            r#"{"text":"a","b":-}"#,
            r#"{"text":"a" "b":1}"#,
            r#"{,"text":"a"}"#,
        ] {
            assert_eq!(read(line, "text", true), Line::Unsure, "{line}");
        }
        let deep = format!("{{\"text\":\"a\",\"b\":{}{}}}", "[".repeat(DEEPEST + 1), "]".repeat(DEEPEST + 1));
        assert_eq!(read(&deep, "text", true), Line::Unsure);
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_serde_reads(line in r#"\{("text":|"a":|[\[\]{}:,"]|"[가a]{0,2}(\\[n"u])?(00e9|d83d\\ude00)?"|[-0-9.eE]{1,3}|null|true| |\t){0,12}\}?"#) {
            prop_assert!(agrees(&line), "{line}");
        }

        #[test]
        fn every_object_is_read(text in any::<String>(), other in any::<String>(), number in any::<f64>(), at in 0usize..3) {
            let mut parts = vec![
                format!("\"other\": {}", serde_json::to_string(&other).unwrap()),
                format!("\"n\": [{}, {{\"text\": null}}]", serde_json::to_string(&number).unwrap()),
            ];
            parts.insert(at, format!("\"text\":{}", serde_json::to_string(&text).unwrap()));
            let line = format!("{{{}}}", parts.join(", "));
            prop_assert_eq!(read(&line, "text", false), Line::Text(text.into()));
        }
    }
}
