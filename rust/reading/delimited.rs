//! Tables as text, `.csv` and `.tsv`: strictly, a record of another number of fields is none.

use std::ops::Range;
use std::str;

use memchr::{memchr, memchr_iter, memchr2};

use crate::reading::paths::Found;

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// What stands between fields.
    pub separator: u8,
    /// Whether a field that begins with a quote and does not end with one is what it is, as where no quoting is known.
    pub literal: bool,
    /// Bytes of a record, at most: a quote that nobody closes would take all that follows.
    pub most: usize,
}

/// Where and why there is no table: the line, 0 where that is all of it.
pub type Broken = (u64, String);

/// A reader of records, the first of which names the columns; of bytes that are UTF-8 but where that was told already.
#[derive(Debug)]
pub struct Reader {
    dialect: Dialect,
    columns: Vec<String>,
    filled: bool,
    /// All columns of the file, and where in a record the wanted ones are.
    names: Vec<String>,
    places: Vec<usize>,
    data: Vec<u8>,
    /// Of the first byte of `data`.
    line: u64,
    fields: Vec<Field>,
    broken: Option<Broken>,
}

/// Where a field is, and whether quotes are doubled in it.
type Field = (Range<usize>, bool);

enum Record {
    /// With all that belongs to it.
    Whole(usize),
    None(&'static str),
    /// More is needed.
    More,
}

impl Reader {
    /// A reader of `columns`, in which an empty text is none where they are to be `filled`.
    #[must_use]
    pub fn new(columns: Vec<String>, filled: bool, dialect: Dialect) -> Self {
        let (names, places, data, fields) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { dialect, columns, filled, names, places, data, line: 1, fields, broken: None }
    }

    /// Read on; of whole lines, but for the last.
    pub fn feed(&mut self, block: &[u8]) -> Found {
        self.data.extend_from_slice(block);
        self.work(false)
    }

    /// What was not read yet; there is nothing more.
    pub fn end(&mut self) -> Found {
        self.work(true)
    }

    /// Why there is no table, if so.
    #[must_use]
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    fn work(&mut self, last: bool) -> Found {
        let mut found = Found::new(self.columns.len());
        let data = std::mem::take(&mut self.data);
        let mut at = 0;
        while at < data.len() && self.broken.is_none() {
            let rest = &data[at..];
            let newline = memchr(b'\n', rest);
            let line = &rest[..newline.unwrap_or(rest.len())];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let size = if line.is_empty() {
                newline.map_or(rest.len(), |end| end + 1)
            } else {
                match self.split(rest, line, last) {
                    Record::Whole(size) => {
                        self.record(&rest[..size], &mut found);
                        size
                    }
                    Record::More => break,
                    Record::None(why) => {
                        let size = newline.map_or(rest.len(), |end| end + 1);
                        if self.dialect.literal {
                            self.plain(line);
                            self.record(&rest[..size], &mut found);
                        } else {
                            self.lose(format!("a quoted field that is none ({why})"), &mut found);
                        }
                        size
                    }
                }
            };
            self.line += memchr_iter(b'\n', &rest[..size]).count() as u64;
            at += size;
        }
        self.data = data;
        self.data.drain(..at);
        found
    }

    /// Find the fields of the record that `rest` begins with, and its first `line`.
    fn split(&mut self, rest: &[u8], line: &[u8], last: bool) -> Record {
        let separator = self.dialect.separator;
        self.fields.clear();
        let mut at = 0;
        loop {
            if rest.get(at) == Some(&b'"') {
                let (mut from, mut doubled) = (at + 1, false);
                let close = loop {
                    let Some(quote) = memchr(b'"', &rest[from..]).map(|more| from + more) else {
                        return if last || rest.len() > self.dialect.most { NO_END } else { Record::More };
                    };
                    match rest.get(quote + 1) {
                        Some(b'"') => (from, doubled) = (quote + 2, true),
                        None if !last => return Record::More,
                        _ => break quote,
                    }
                };
                self.fields.push((at + 1..close, doubled));
                at = close + 1;
                match &rest[at..] {
                    [] => break,
                    [b'\n', ..] => at += 1,
                    [b'\r', b'\n', ..] => at += 2,
                    [b'\r'] if last => at += 1,
                    [byte, ..] if *byte == separator => {
                        at += 1;
                        continue;
                    }
                    _ => return Record::None("',' expected after '\"'"),
                }
                break;
            }
            let end = memchr2(separator, b'\n', &rest[at..]).map_or(rest.len(), |more| at + more);
            if rest.get(end) == Some(&separator) {
                self.fields.push((at..end, false));
                at = end + 1;
                continue;
            }
            if end == rest.len() && !last {
                return Record::More;
            }
            self.fields.push((at..end - usize::from(end > at && rest[end - 1] == b'\r'), false));
            at = rest.len().min(end + 1);
            break;
        }
        // Where no quoting is known, a line and the next are whole records; of one column nothing tells.
        let record = rest[..at].strip_suffix(b"\n").unwrap_or(&rest[..at]);
        let whole = |line: &[u8]| memchr_iter(separator, line).count() + 1 == self.names.len();
        let several = || whole(line) && record.split(|&byte| byte == b'\n').skip(1).any(whole);
        let long = at > line.len() + 2; // of several lines
        if long && (at > self.dialect.most || (self.dialect.literal && self.names.len() > 1 && several())) {
            return NO_END;
        }
        Record::Whole(at)
    }

    /// The fields of a line that knows no quoting.
    fn plain(&mut self, line: &[u8]) {
        self.fields.clear();
        let mut at = 0;
        for field in line.split(|&byte| byte == self.dialect.separator) {
            self.fields.push((at..at + field.len(), false));
            at += field.len() + 1;
        }
    }

    /// Take the texts of a record whose fields are known.
    fn record(&mut self, record: &[u8], found: &mut Found) {
        let Ok(record) = str::from_utf8(record) else {
            if self.names.is_empty() {
                self.broken = Some((self.line, "the names of the columns are no text".into()));
            }
            return; // which was told already
        };
        let text = |(range, doubled): &Field| {
            let field = &record[range.clone()];
            if *doubled { field.replace("\"\"", "\"") } else { field.to_owned() }
        };
        if self.names.is_empty() {
            self.names = self.fields.iter().map(text).collect();
            if self.names.iter().any(|name| name.contains('\r')) {
                self.broken = Some((self.line, "a carriage return; wanted lines that end in a newline".into()));
                return;
            }
            for column in &self.columns {
                let mut places = (0..).zip(&self.names).filter(|(_, name)| *name == column).map(|(place, _)| place);
                match (places.next(), places.next()) {
                    (Some(place), None) => self.places.push(place),
                    (None, _) => {
                        self.broken = Some((0, format!("no column '{column}'; it has {}", self.shown())));
                        return;
                    }
                    (Some(_), Some(_)) => {
                        self.broken = Some((0, format!("two columns '{column}'; it has {}", self.shown())));
                        return;
                    }
                }
            }
        } else if self.fields.len() != self.names.len() {
            let number = self.fields.len();
            self.lose(format!("{number} field{}", if number == 1 { "" } else { "s" }), found);
        } else if self.filled && self.places.iter().any(|&place| self.fields[place].0.is_empty()) {
            let columns = self.columns.join(", ");
            let what = format!("empty in one of the columns {columns}; wanted strings in all of them");
            found.lost.push((self.line, what));
        } else {
            for (column, &place) in found.columns.iter_mut().zip(&self.places) {
                column.push(text(&self.fields[place]));
            }
        }
    }

    fn lose(&mut self, what: String, found: &mut Found) {
        if self.names.is_empty() {
            self.broken = Some((self.line, what));
        } else {
            let what = format!("{what}; wanted {}: {}", self.names.len(), self.shown());
            found.lost.push((self.line, what));
        }
    }

    /// The names of the columns, which may be anything where the file is none of this kind.
    fn shown(&self) -> String {
        let names = self.names.join(", ");
        match names.char_indices().nth(LONGEST_SHOWN) {
            Some((end, _)) => format!("{}…", &names[..end]),
            None => names,
        }
    }
}

/// Characters of the columns' names that are told, at most.
const LONGEST_SHOWN: usize = 300;

const NO_END: Record = Record::None("unexpected end of data");

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&str], separator: u8) -> (Vec<String>, Vec<(u64, String)>) {
        let dialect = Dialect { separator, literal: separator == b'\t', most: 1_000 };
        let mut reader = Reader::new(vec!["b".into()], false, dialect);
        let mut found: Vec<_> = pieces.iter().map(|piece| reader.feed(piece.as_bytes())).collect();
        found.push(reader.end());
        let lost = found.iter().flat_map(|found| found.lost.clone()).collect();
        (found.into_iter().flat_map(|mut found| found.columns.remove(0)).collect(), lost)
    }

    #[test]
    fn a_record_may_be_of_several_lines_and_pieces() {
        let wanted = vec!["가\n\"나\"".to_owned(), String::new(), "다 \"x\"".into(), "끝".into()];
        let pieces = ["a,b\r\n1,\"가\n", "\"\"나", "\"\"\"\r\n\r\n2,\n3,다 \"x\"\n4,\"끝\""];
        for pieces in [&pieces[..], &[pieces.concat().as_str()]] {
            assert_eq!(all(pieces, b','), (wanted.clone(), vec![]));
        }
    }

    #[test]
    fn a_quote_that_nobody_closes_is_what_it_is_where_no_quoting_is_known() {
        assert_eq!(all(&["a\tb\n1\t\"x\n2\ty\"\n"], b'\t').0, ["\"x", "y\""]);
        assert_eq!(all(&["b\n\"x\ny\"\n\"z\n"], b'\t').0, ["x\ny", "\"z"]);
        let (texts, lost) = all(&["a,b\n1,\"x\n2,y\n"], b',');
        assert_eq!(texts, ["y"]);
        assert_eq!(lost, [(2, "a quoted field that is none (unexpected end of data); wanted 2: a, b".into())]);
    }
}
