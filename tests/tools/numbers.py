#!/usr/bin/env python3
"""Compares the example `numbers` with libphonenumber over the example numbers of its metadata.

Needs PyPI's `phonenumbers`. For every region and type: four ways of writing, with 00, without a region, and with
one digit more and one less. From the workspace root:

    cargo build --example numbers
    python3 tests/tools/numbers.py target/debug/examples/numbers --json

Where libphonenumber itself says "not possible" or cannot read, an error is agreement. Each group of disagreements is
printed with its size and some of its texts; crates/numbers explains them.
"""

import collections
import json
import subprocess
import sys

import phonenumbers
from phonenumbers import PhoneNumberFormat as Format


def texts():
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in range(11):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            for form in (Format.E164, Format.INTERNATIONAL, Format.NATIONAL, Format.RFC3966):
                yield region, phonenumbers.format_number(number, form)
            international = phonenumbers.format_number(number, Format.E164)
            yield region, international[:-1]
            yield region, international + "5"
            yield "", international
            yield region, "00" + international[1:]


def reference(region, text):
    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return None, False
    if not phonenumbers.is_possible_number(number):
        return None, False
    return phonenumbers.format_number(number, Format.E164), phonenumbers.is_valid_number(number)


def main():
    rows = list(dict.fromkeys(texts()))
    joined = "".join(f"{region}\t{text}\n" for region, text in rows).encode()
    answer = subprocess.run(sys.argv[1:], input=joined, stdout=subprocess.PIPE, check=False).stdout.decode()
    answers = [json.loads(line) for line in answer.splitlines()]
    if len(answers) != len(rows):
        sys.exit(f"{len(rows)} texts, but {len(answers)} answers")
    agree, groups = 0, collections.defaultdict(list)
    for (region, text), ours in zip(rows, answers):
        theirs, valid = reference(region, text)
        if ours.get("e164") == theirs:
            agree += 1
            continue
        said = ours.get("e164") and "a number" or ours["error"]["kind"]
        there = "nothing" if theirs is None else "a valid number" if valid else "a possible number"
        prefix = "00" if text.startswith("00") else "+" if text.startswith("+") else "national"
        groups[f"{prefix}: {said} here, {there} there"].append((region, text, ours.get("e164"), theirs))
    print(f"{agree} of {len(rows)} agree ({agree / len(rows):.2%})")
    for name, members in sorted(groups.items(), key=lambda group: -len(group[1])):
        print(f"{len(members)} {name}: {members[:6]}")


if __name__ == "__main__":
    main()
