#!/usr/bin/env bash
# flate2 1.1.11 (Rust): choosing a backend without the default features also gives up the processor's instructions.
#
# Expected: `default-features = false, features = ["zlib-rs"]` leaves out the other backend, miniz_oxide, and nothing else.
# Seen 2026-11-29: the default features hold `runtime_detection` too, which passes `std` on to zlib-rs 0.6.8. Without it
# zlib-rs cannot ask the processor what it has, so that on x86-64 neither AVX2, BMI2 nor PCLMULQDQ code is in the program: no
# function of it has one of their names. The bytes that come out are the same. Nothing warns; the feature's name is the sign.
# For corpora in `.gz`: of 262 MB of lines the same decoder took 1.17 to 1.22 s of a processor without and 0.86 to 0.92 s with
# it (AMD EPYC, Zen 3). A crate that reads them wants both features by name. (Needs cargo, on x86-64.)
#> flate2 1.1.11, zlib-rs 0.6.8
#> zlib-rs: 1024 bytes again: true; functions for avx2 or pclmulqdq: none
#> zlib-rs, runtime_detection: 1024 bytes again: true; functions for avx2 or pclmulqdq: some
. "$(dirname "$0")/lib.sh"

crate() { # NAME FEATURES: a program of flate2 with these features, unstripped
  mkdir -p "$1/src"
  cat > "$1/Cargo.toml" <<TOML
[package]
name = "probe"
version = "0.0.0"
edition = "2021"
[dependencies]
flate2 = { version = "=1.1.11", default-features = false, features = [$2] }
zlib-rs = { version = "=0.6.8", default-features = false }
TOML
  cat > "$1/src/main.rs" <<'RUST'
use std::io::{Read, Write};

fn main() {
    let text: Vec<u8> = (0..1024u32).map(|i| (i * i % 7) as u8).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&text).unwrap();
    let packed = encoder.finish().unwrap();
    let mut again = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut again).unwrap();
    print!("{} bytes again: {}", again.len(), again == text);
}
RUST
  CARGO_TARGET_DIR="$folder/target-$1" cargo build -q --release --manifest-path "$1/Cargo.toml"
}

probe() { # NAME: what the program prints, and whether such functions are in it
  local program="$folder/target-$1/release/probe" found=none
  if grep -aqE 'zlib_rs[A-Za-z0-9_$.]*(avx2|pclmulqdq)' "$program"; then found=some; fi
  echo "$2: $("$program"); functions for avx2 or pclmulqdq: $found"
}

crate plain '"zlib-rs"'
crate detecting '"zlib-rs", "runtime_detection"'
{
  versions=$(cargo tree -q --manifest-path plain/Cargo.toml --prefix none | sed -nE 's/^(flate2|zlib-rs) v([0-9.]+).*/\1 \2/p' | sort -u)
  echo "$(echo "$versions" | head -1), $(echo "$versions" | tail -1)"
  probe plain "zlib-rs"
  probe detecting "zlib-rs, runtime_detection"
} > seen
unchanged
