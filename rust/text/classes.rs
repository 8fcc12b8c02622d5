//! What a character is to a split pattern: a letter, a number, white space, or anything else.

use std::sync::LazyLock;

use regex_syntax::hir::{Class as Set, HirKind};

/// The class of a character, of which a split pattern knows four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// None of the others.
    #[default]
    Other,
    /// `\p{L}`.
    Letter,
    /// `\p{N}`.
    Number,
    /// `\s`.
    Space,
    /// `\p{M}`, which most patterns count among the others.
    Mark,
}

/// By code; 1.1 MB, of which text touches some pages. Unicode 16, as in `tokenizers` 0.23: a test asks it for every
/// character.
static CLASSES: LazyLock<Box<[Class]>> = LazyLock::new(|| {
    let mut classes = vec![Class::Other; char::MAX as usize + 1];
    for (pattern, class) in
        [(r"\p{L}", Class::Letter), (r"\p{N}", Class::Number), (r"\s", Class::Space), (r"\p{M}", Class::Mark)]
    {
        let Ok(HirKind::Class(Set::Unicode(set))) = regex_syntax::parse(pattern).map(regex_syntax::hir::Hir::into_kind)
        else {
            unreachable!("{pattern} is a class of characters")
        };
        for range in set.ranges() {
            classes[range.start() as usize..=range.end() as usize].fill(class);
        }
    }
    classes.into()
});

/// The table of classes by code.
#[must_use]
pub fn classes() -> &'static [Class] {
    &CLASSES
}
