//! How often each pair of symbols is seen at most: sums by hash, without keys, so of bounded size.

/// Sums of 32 bits that stay at the highest value when they would pass it.
#[derive(Clone)]
pub(super) struct Bounds {
    sums: Vec<u32>,
    shift: u32,
}

impl Bounds {
    /// 2^`bits` sums.
    pub(super) fn new(bits: u32) -> Self {
        Self { sums: vec![0; 1 << bits], shift: 64 - bits }
    }

    #[inline]
    pub(super) fn add(&mut self, left: u32, right: u32, count: u64) {
        let at = self.at(left, right);
        self.sums[at] = self.sums[at].saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Add those of another of the same size.
    pub(super) fn add_all(&mut self, other: &Self) {
        for (sum, more) in self.sums.iter_mut().zip(&other.sums) {
            *sum = sum.saturating_add(*more);
        }
    }

    /// Whether a pair may be seen `least` times; a sum at its highest value may be any.
    #[inline]
    pub(super) fn reach(&self, left: u32, right: u32, least: u64) -> bool {
        let sum = self.sums[self.at(left, right)];
        u64::from(sum) >= least || sum == u32::MAX
    }

    /// The highest count that so many sums reach; 0 where there are less.
    pub(super) fn reached_by(&self, sums: usize) -> u64 {
        let mut found: Vec<u32> = self.sums.iter().copied().filter(|&sum| sum > 0).collect();
        if sums > found.len() {
            return 0;
        }
        let (_, &mut least, _) = found.select_nth_unstable_by(sums.saturating_sub(1), |a, b| b.cmp(a));
        least.into()
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // as many bits as there are places
    fn at(&self, left: u32, right: u32) -> usize {
        let pair = u64::from(left) << 32 | u64::from(right);
        (pair.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
}
