//! Paths into a value, `document[].paragraph[].form`, as a tree; and the rows that are found by it.
//!
//! A row is what the part that several paths share leads to, up to the last `[]`; it has a text at the end of each.

use crate::error::{Error, Result};

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

/// A place that paths lead to or through; others are named by their index.
#[derive(Debug, Default)]
pub struct Node {
    /// Where the keys of an object lead.
    pub keys: Vec<(String, usize)>,
    /// Where the elements of an array are.
    pub each: Option<usize>,
    /// The column whose text stands here.
    pub text: Option<usize>,
    /// Whether a row begins and ends with what stands here.
    pub row: bool,
}

/// The places that paths lead to, the first of them a whole value.
#[derive(Debug)]
pub struct Paths {
    /// The columns, a path each.
    pub names: Vec<String>,
    /// The places.
    pub nodes: Vec<Node>,
    /// Whether an empty text is none.
    pub filled: bool,
}

impl Paths {
    /// Columns and the paths to them.
    ///
    /// # Errors
    /// If there is none, or they are not of one row.
    pub fn new(names: Vec<String>, paths: &[Vec<Step>], filled: bool) -> Result<Self> {
        // Of one column each text is a row, and is given though what follows in its object is broken.
        let shared = match paths {
            [path] => path.len(),
            paths => {
                paths.first().and_then(|path| path.iter().rposition(|step| *step == Step::Each)).map_or(0, |n| n + 1)
            }
        };
        let of_a_row =
            |path: &Vec<Step>| path.get(..shared) == paths[0].get(..shared) && !path[shared..].contains(&Step::Each);
        if paths.is_empty() || paths.len() != names.len() || !paths.iter().all(of_a_row) {
            return Err(Error::Argument("wanted a path for each column, all through the same arrays".into()));
        }
        let mut nodes = vec![Node::default()];
        for (column, path) in paths.iter().enumerate() {
            let mut at = 0;
            for (depth, step) in path.iter().enumerate() {
                nodes[at].row |= depth == shared;
                let known = match step {
                    Step::Each => nodes[at].each,
                    Step::Key(key) => nodes[at].keys.iter().find(|(known, _)| known == key).map(|(_, node)| *node),
                };
                let next = known.unwrap_or(nodes.len());
                if known.is_none() {
                    match step {
                        Step::Each => nodes[at].each = Some(next),
                        Step::Key(key) => nodes[at].keys.push((key.clone(), next)),
                    }
                    nodes.push(Node::default());
                }
                at = next;
            }
            nodes[at].row |= path.len() == shared;
            nodes[at].text = Some(column);
        }
        Ok(Self { names, nodes, filled })
    }

    /// What is to be said of something else that stands at a place.
    pub(super) fn other(&self, node: &Node, found: &str) -> String {
        let keys: Vec<_> = node.keys.iter().map(|(key, _)| format!("{key:?}")).collect();
        let wanted = match keys.len() {
            _ if node.text.is_some() => "a string".to_owned(),
            0 => "an array".to_owned(),
            1 => format!("an object with the key {}", keys[0]),
            _ => format!("an object with the keys {}", keys.join(" and ")),
        };
        let column = node.text.filter(|_| self.names.len() > 1);
        let of = column.map_or(String::new(), |column| format!(" in {:?}", self.names[column]));
        let advice = if found == "an array" { "; a path goes into each element by []" } else { "" };
        format!("found {found}{of}; wanted {wanted}{advice}")
    }
}

/// What stood where a text was wanted, and in which line.
pub type Lost = (u64, String);

/// Texts in their order, and what stood in the place of others.
#[derive(Debug, Default)]
pub struct Found {
    /// The texts of each column.
    pub columns: Vec<Vec<String>>,
    /// What was no text.
    pub lost: Vec<Lost>,
    /// Of the texts and of what was none, about.
    pub bytes: usize,
}

impl Found {
    /// Nothing yet.
    pub(super) fn new(columns: usize) -> Self {
        Self { columns: vec![Vec::new(); columns], ..Self::default() }
    }

    /// Add a row, which is taken: what is wrong with it, or its texts.
    pub(super) fn add(&mut self, row: &mut [Option<String>], wrong: Option<Lost>) {
        if let Some((line, what)) = wrong {
            self.bytes += what.len();
            self.lost.push((line, what));
            return;
        }
        for (column, text) in self.columns.iter_mut().zip(row) {
            let text = text.take().unwrap_or_default();
            self.bytes += text.len();
            column.push(text);
        }
    }
}
