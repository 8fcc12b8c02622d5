#!/usr/bin/env bash
# parquet 60.1.0 (Rust): its feature `simdutf8`, on by default, checks strings no faster than the standard library.
#
# Expected: with it, strings are checked by vectors, some ten times as fast where they are not ASCII, as its documentation and the
# feature's name say.
# Seen 2026-11-30: it takes the crate simdutf8 without that one's default feature `std`, and without `std` simdutf8 0.1.5 cannot ask
# the processor what it has. On x86-64, where a compiler assumes SSE2 alone, all it then does is call the standard library: no
# function for AVX2 is in the program. Any crate in the tree that wants `std` of simdutf8 turns it on for parquet too: 2.7 MB of Korean
# 2.07 ms without, 0.21 with it (AMD EPYC, Zen 3). Nothing warns.
# For corpora in Parquet: of 1 GB of Korean in ZSTD that the crate reads in 2.7 s, 1.7 s are this check. A program that reads them
# with it wants `simdutf8 = "0.1"` beside it. (kovocab reads Parquet by Polars, which asks the processor. Needs cargo, on x86-64.)
#> parquet 60.1.0, simdutf8 0.1.5
#> parquet with simdutf8: at least three times as fast as std: false; functions for avx2: none
#> with the std of simdutf8 besides: at least three times as fast as std: true; functions for avx2: some
. "$(dirname "$0")/lib.sh"

crate() { # NAME DEPENDENCY: a program that checks Korean as the crate does, and as the standard library does
  cargo new -q --vcs none --name probe "$1"
  cat >> "$1/Cargo.toml" <<TOML
parquet = { version = "=60.1.0", default-features = false, features = ["simdutf8"] }
simdutf8 = { version = "=0.1.5", default-features = false, features = [$2] }
TOML
  cat > "$1/src/main.rs" <<'RUST'
use std::hint::black_box;
use std::time::{Duration, Instant};

fn least(mut check: impl FnMut()) -> Duration {
    (0..9).map(|_| { let start = Instant::now(); check(); start.elapsed() }).min().unwrap()
}

fn main() {
    let korean = "나무 그늘에서 책을 읽었다. ".repeat(100_000).into_bytes();
    let by_crate = least(|| assert!(parquet::utf8::check_valid_utf8(black_box(&korean)).is_ok()));
    let by_std = least(|| assert!(std::str::from_utf8(black_box(&korean)).is_ok()));
    print!("at least three times as fast as std: {}", by_crate * 3 < by_std);
}
RUST
  CARGO_TARGET_DIR="$folder/target" cargo build -q --release --manifest-path "$1/Cargo.toml"
  local program="$folder/target/release/probe" found=none
  if grep -aqE 'simdutf8[A-Za-z0-9_$.]*avx2' "$program"; then found=some; fi
  echo "$3: $("$program"); functions for avx2: $found" >> seen
}

crate plain '' 'parquet with simdutf8'
crate detecting '"std"' 'with the std of simdutf8 besides'
{
  cargo tree -q --manifest-path plain/Cargo.toml --prefix none | sed -nE 's/^(parquet|simdutf8) v([0-9.]+).*/\1 \2/p' | sort -u | paste -sd, | sed 's/,/, /'
  cat seen
} > all && mv all seen
unchanged
