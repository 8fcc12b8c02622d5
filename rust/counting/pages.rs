//! Memory for a large table, in huge pages where the system has them.
//!
//! A word is anywhere in the table, and with pages of 4 KiB each would cost a miss of the address cache too: 162 MB/s
//! without, 171 to 182 with (`docs/log.md`, 2026-11-21).

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
use memmap2::MmapMut;

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
}

enum Memory<T> {
    Mapped(MmapMut, PhantomData<T>),
    /// Where mapping is not to be had.
    Plain(Vec<T>),
}

impl<T: Pod> Pages<T> {
    /// Room for `length` of `T`, which is not 0.
    #[must_use]
    pub fn zeroed(length: usize) -> Self {
        let mapped = MmapMut::map_anon(length * size_of::<T>());
        #[cfg(target_os = "linux")]
        if let Ok(map) = &mapped {
            // A wish, not a need.
            _ = map.advise(memmap2::Advice::HugePage);
        }
        let memory = match mapped {
            Ok(map) => Memory::Mapped(map, PhantomData),
            Err(_) => Memory::Plain(vec![T::zeroed(); length]),
        };
        Self { memory }
    }
}

impl<T: Pod> Deref for Pages<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.memory {
            Memory::Mapped(map, _) => bytemuck::cast_slice(map),
            Memory::Plain(values) => values,
        }
    }
}

impl<T: Pod> DerefMut for Pages<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.memory {
            Memory::Mapped(map, _) => bytemuck::cast_slice_mut(map),
            Memory::Plain(values) => values,
        }
    }
}
