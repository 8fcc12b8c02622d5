//! Memory for a large table, in huge pages where the system has them.
//!
//! A word is anywhere in the table, and with pages of 4 KiB each would cost a miss of the address cache too: 162 MB/s
//! without, 171 to 182 with (`docs/log.md`, 2026-11-21).

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use bytemuck::Pod;
use memmap2::{MmapMut, MmapOptions};

/// Ask for what lies `there`, which will be needed soon, and do not wait for it.
#[inline]
pub(crate) fn fetch<T>(there: &T) {
    #[cfg(target_arch = "x86_64")]
    safe_arch::prefetch_t0(there);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = there; // it comes when it is needed
}

/// A slice of `T`, all bits zero at first.
pub struct Pages<T> {
    memory: Memory<T>,
    length: usize,
}

enum Memory<T> {
    Mapped(MmapMut, PhantomData<T>),
    /// Where mapping is not to be had.
    Plain(Vec<T>),
}

/// Times its own length that what doubles asks for, so that it seldom moves. Nobody has a page before something is
/// written there; elsewhere than on Linux this is not sure, and where addresses are limited (`ulimit -v`) others want them.
fn room() -> usize {
    static ROOM: LazyLock<usize> = LazyLock::new(|| {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        // The soft limit stands first, the hard one behind it.
        let unlimited = |line: &str| {
            line.strip_prefix("Max address space").and_then(|rest| rest.split_whitespace().next()) == Some("unlimited")
        };
        if limits.lines().any(unlimited) { 16 } else { 1 }
    });
    *ROOM
}

impl<T: Pod> Pages<T> {
    /// Room for `length` of `T`, which is not 0.
    #[must_use]
    pub fn zeroed(length: usize) -> Self {
        let memory = map(length).unwrap_or_else(|| Memory::Plain(vec![T::zeroed(); length]));
        Self { memory, length }
    }

    /// Become twice as long; what is behind that which was there is zero.
    ///
    /// Memory that moves is cleared by the system twice, which took a fifth of the time of counting 4 GB on a virtual
    /// machine (`docs/log.md`, 2026-11-30).
    pub fn double(&mut self) {
        let length = self.length * 2;
        match &mut self.memory {
            Memory::Mapped(map, _) if map.len() >= length * size_of::<T>() => {}
            Memory::Plain(values) => values.resize(length, T::zeroed()),
            Memory::Mapped(..) => {
                let roomy = length.checked_mul(room()).and_then(map).map(|memory| Self { memory, length });
                let mut larger = roomy.unwrap_or_else(|| Self::zeroed(length));
                larger[..self.length].copy_from_slice(self);
                *self = larger;
            }
        }
        self.length = length;
    }

    /// Have the system put memory behind all of it, at once. A page that is read before it is written would be one of zeros
    /// first, and then another, of which each processor has to be told (`docs/log.md`, 2026-11-30).
    pub fn populate(&self) {
        #[cfg(target_os = "linux")]
        if let Memory::Mapped(map, _) = &self.memory {
            // A wish, not a need: Linux has it since 5.14.
            _ = map.advise_range(memmap2::Advice::PopulateWrite, 0, self.length * size_of::<T>());
        }
    }
}

fn map<T>(length: usize) -> Option<Memory<T>> {
    let bytes = length.checked_mul(size_of::<T>())?;
    // On Linux what is not written yet is not to count as memory in use.
    let map = MmapOptions::new().len(bytes).no_reserve_swap().map_anon().ok()?;
    #[cfg(target_os = "linux")]
    {
        // A wish, not a need.
        _ = map.advise(memmap2::Advice::HugePage);
    }
    Some(Memory::Mapped(map, PhantomData))
}

impl<T: Pod> Deref for Pages<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.memory {
            Memory::Mapped(map, _) => &bytemuck::cast_slice(map)[..self.length],
            Memory::Plain(values) => values,
        }
    }
}

impl<T: Pod> DerefMut for Pages<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.memory {
            Memory::Mapped(map, _) => &mut bytemuck::cast_slice_mut(map)[..self.length],
            Memory::Plain(values) => values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_doubles_keeps_what_it_has() {
        let plain = Pages { memory: Memory::Plain(vec![0_u64; 3]), length: 3 };
        for mut pages in [Pages::<u64>::zeroed(3), plain] {
            let mut expected = vec![0; 3];
            // Past the room that it asks for, twice.
            for value in 1..11 {
                *pages.last_mut().expect("it is not empty") = value;
                *expected.last_mut().expect("it is not empty") = value;
                pages.double();
                expected.resize(expected.len() * 2, 0);
                assert_eq!(*pages, *expected);
            }
        }
    }
}
