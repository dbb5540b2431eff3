#!/usr/bin/env python3
"""Counts what texts cost, from the tables of 3GPP TS 23.038 and the sizes of TS 23.040.

Written apart from the crates and in another language, so that the two can disagree.

    segments.py < texts                                one JSON document a line, as the example `segments` prints
    segments.py --generate 5000 --seed 1               mixed texts, one a line
    segments.py --generate 5000 --against COMMAND...   runs COMMAND over them and compares, line by line

For instance, from the workspace root:

    cargo build --example segments
    python3 tests/tools/segments.py --generate 5000 --against target/debug/examples/segments --json
"""

import argparse
import json
import random
import subprocess
import sys

# 6.2.1, column by column (the three high bits of a septet), code points as the standard names the characters.
BASIC = {}
for column, points in enumerate([
    "0040 00A3 0024 00A5 00E8 00E9 00F9 00EC 00F2 00C7 000A 00D8 00F8 000D 00C5 00E5",
    "0394 005F 03A6 0393 039B 03A9 03A0 03A8 03A3 0398 039E ---- 00C6 00E6 00DF 00C9",
    "0020 0021 0022 0023 00A4 0025 0026 0027 0028 0029 002A 002B 002C 002D 002E 002F",
    "0030 0031 0032 0033 0034 0035 0036 0037 0038 0039 003A 003B 003C 003D 003E 003F",
    "00A1 0041 0042 0043 0044 0045 0046 0047 0048 0049 004A 004B 004C 004D 004E 004F",
    "0050 0051 0052 0053 0054 0055 0056 0057 0058 0059 005A 00C4 00D6 00D1 00DC 00A7",
    "00BF 0061 0062 0063 0064 0065 0066 0067 0068 0069 006A 006B 006C 006D 006E 006F",
    "0070 0071 0072 0073 0074 0075 0076 0077 0078 0079 007A 00E4 00F6 00F1 00FC 00E0",
]):
    for row, point in enumerate(points.split()):
        if point != "----":
            BASIC[chr(int(point, 16))] = column * 16 + row
assert len(BASIC) == 127

# 6.2.1.1.
EXTENSION = {
    "\u000c": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F,
    "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40, "\u20ac": 0x65,
}


def sizes(text):
    """The encoding, and the units of each character."""
    if all(char in BASIC or char in EXTENSION for char in text):
        return "gsm7", [1 if char in BASIC else 2 for char in text]
    return "ucs2", [len(char.encode("utf-16-be")) // 2 for char in text]


def count(text):
    encoding, units = sizes(text)
    octets, bits = 140, 7 if encoding == "gsm7" else 16
    # A part has 140 octets; in one of several, six are the header, and units start at a whole one.
    alone, joined = octets * 8 // bits, (octets - 6) * 8 // bits
    total = sum(units)
    if total <= alone:
        parts, per_part, left = 1, alone, alone - total
    else:
        parts, per_part, left = 1, joined, joined
        for size in units:
            if size > left:
                parts, left = parts + 1, joined
            left -= size
    return {"encoding": encoding, "units": total, "parts": parts, "per_part": per_part, "left": left}


def generate(number, seed):
    """Texts of every mixture, with lengths crowded around the edges of parts."""
    rng = random.Random(seed)
    # Not what ends a line: the example reads lines.
    basic = [char for char in BASIC if char not in "\n\r"]
    extension = list(EXTENSION)
    plain = [chr(point) for point in (*range(0x80, 0x250), *range(0x300, 0x370), *range(0x370, 0x530), *range(0x4E00, 0x4E40))]
    plain += list("“”„‘’–—…•™\u00a0\u200b\u200d\u2028\ufeff`\t\x00\x1b")
    beyond = [chr(point) for point in (*range(0x1F300, 0x1F650), *range(0x20000, 0x20020), 0x10FFFF, 0x10000)]
    edges = [0, 1, 69, 70, 71, 133, 134, 135, 139, 152, 153, 154, 159, 160, 161, 201, 202, 305, 306, 307, 459, 460]
    for _ in range(number):
        length = max(0, rng.choice(edges) + rng.randint(-3, 3)) if rng.random() < 0.7 else rng.randint(0, 700)
        kinds, weights = rng.choice([
            ([basic], [1]),
            ([basic, extension], [30, 1]),
            ([basic, extension], [1, 1]),
            ([extension], [1]),
            ([basic, plain], [100, 1]),
            ([basic, extension, plain], [5, 2, 3]),
            ([basic, beyond], [60, 1]),
            ([basic, extension, plain, beyond], [4, 1, 2, 2]),
            ([beyond], [1]),
            ([plain, beyond], [1, 1]),
        ])
        yield "".join(rng.choice(rng.choices(kinds, weights)[0]) for _ in range(length))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generate", type=int, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--against", nargs=argparse.REMAINDER, metavar="COMMAND")
    args = parser.parse_args()
    if args.generate is None:
        texts = sys.stdin.buffer.read().decode().split("\n")
        for text in texts[:-1] if texts[-1] == "" else texts:
            print(json.dumps(count(text)))
        return
    texts = list(generate(args.generate, args.seed))
    joined = "".join(text + "\n" for text in texts).encode()
    if not args.against:
        sys.stdout.buffer.write(joined)
        return
    answer = subprocess.run(args.against, input=joined, stdout=subprocess.PIPE, check=True).stdout.decode()
    rows = [json.loads(line) for line in answer.splitlines()]
    if len(rows) != len(texts):
        sys.exit(f"{len(texts)} texts, but {len(rows)} answers")
    wrong = [(text, count(text), row) for text, row in zip(texts, rows) if count(text) != row]
    for text, ours, theirs in wrong[:10]:
        print(f"{text!r}: {ours} here, {theirs} there", file=sys.stderr)
    kinds = {}
    for text in texts:
        row = count(text)
        key = f"{row['encoding']}, {'one part' if row['parts'] == 1 else 'several'}"
        kinds[key] = kinds.get(key, 0) + 1
    print(f"{len(texts) - len(wrong)} of {len(texts)} agree ({', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))})")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
