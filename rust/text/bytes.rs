//! Bytes of a text looked at 64 at a time, without a jump: what holds of a byte becomes a bit, the first byte's the lowest.

use simdutf8::basic::from_utf8;
use wide::u8x16;

/// Bytes that are looked at together.
pub(crate) const BLOCK: usize = 64;
/// What may stand between two texts; no byte of UTF-8.
pub const GAP: u8 = 0xFF;
/// Bytes that one vector holds.
const SIXTEEN: usize = 16;
/// About how many bytes of short texts are looked at side by side.
const ROOM: usize = 1 << 14;

/// Whether a text is UTF-8, as it has to be: nobody has looked at the bytes of a column that pyarrow hands on.
pub(crate) fn is_text(text: &str) -> bool {
    from_utf8(text.as_bytes()).is_ok()
}

/// Whether all of `texts` are UTF-8; `room` is empty before and after. Short ones are looked at side by side, a space
/// behind each, over which no character goes: one by one they would be looked at byte by byte.
pub(crate) fn are_text<'a>(texts: impl IntoIterator<Item = &'a str>, room: &mut Vec<u8>) -> bool {
    are_utf8(texts.into_iter().map(str::as_bytes), room)
}

fn are_utf8<'a>(texts: impl IntoIterator<Item = &'a [u8]>, room: &mut Vec<u8>) -> bool {
    let whole = |room: &mut Vec<u8>| {
        let whole = from_utf8(room).is_ok();
        room.clear();
        whole
    };
    let mut all = true;
    for text in texts {
        if text.len() >= BLOCK {
            all &= from_utf8(text).is_ok();
            continue;
        }
        room.extend_from_slice(text);
        room.push(b' ');
        if room.len() >= ROOM {
            all &= whole(room);
        }
    }
    whole(room) && all
}

/// The bits of a block for each of the `N` classes that `classes` says of sixteen bytes, all bits of a byte or none. It
/// is given the bytes, those one further on and those two further on, so `window` is two bytes longer than a block, or
/// more.
#[inline]
pub(crate) fn planes<const N: usize, const WINDOW: usize>(
    window: &[u8; WINDOW],
    classes: impl Fn(u8x16, u8x16, u8x16) -> [u8x16; N],
) -> [u64; N] {
    let mut planes = [0; N];
    for from in (0..BLOCK).step_by(SIXTEEN) {
        for (plane, class) in
            planes.iter_mut().zip(classes(at(window, from), at(window, from + 1), at(window, from + 2)))
        {
            *plane |= u64::from(class.to_bitmask()) << from;
        }
    }
    planes
}

/// Whether `class` holds of any byte of the block, as for [`planes`].
#[inline]
pub(crate) fn any<const WINDOW: usize>(window: &[u8; WINDOW], class: impl Fn(u8x16, u8x16, u8x16) -> u8x16) -> bool {
    let sixteens = (0..BLOCK).step_by(SIXTEEN);
    sixteens
        .fold(u8x16::ZERO, |any, from| any | class(at(window, from), at(window, from + 1), at(window, from + 2)))
        .any()
}

/// Sixteen bytes of a window.
#[inline]
fn at<const WINDOW: usize>(window: &[u8; WINDOW], from: usize) -> u8x16 {
    let mut bytes = [0; SIXTEEN];
    bytes.copy_from_slice(&window[from..from + SIXTEEN]);
    u8x16::new(bytes)
}

/// The code of a character of three bytes.
#[inline]
pub(crate) fn code_of([a, b, c]: [u8; 3]) -> u32 {
    u32::from(a & 0xF) << 12 | u32::from(b & 0x3F) << 6 | u32::from(c & 0x3F)
}

/// Which bytes are `byte`.
#[inline]
pub(crate) fn is(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

/// Which bytes are `first` or more, and less than `first + number`.
#[inline]
pub(crate) fn within(bytes: u8x16, first: u8, number: u8) -> u8x16 {
    let from_first = bytes - u8x16::splat(first);
    from_first.min(u8x16::splat(number - 1)).simd_eq(from_first)
}

/// The bits of `now` moved up by `by`, with those of the block before in the gap.
#[inline]
pub(crate) fn follow(before: u64, now: u64, by: u32) -> u64 {
    (now << by) | (before >> (64 - by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_utf8_where_each_of_them_is(
            texts in prop::collection::vec("[a가é😀]{0,30}", 0..700), cut in 0usize..700, at in 0usize..120,
        ) {
            let mut texts: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
            // One may end, and the next begin, within a character: side by side they would be whole.
            if !texts.is_empty() {
                let text = cut % texts.len();
                let at = at.min(texts[text].len());
                let behind = texts[text].split_off(at);
                texts.insert(text + 1, behind);
            }
            let bytes: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            let each = bytes.iter().all(|text| std::str::from_utf8(text).is_ok());
            let mut room = vec![];
            prop_assert_eq!(are_utf8(bytes, &mut room), each);
            prop_assert!(room.is_empty());
        }
    }
}
