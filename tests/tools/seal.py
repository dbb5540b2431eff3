#!/usr/bin/env python3
"""Seals a message for the queue's table, as docs/outbox.md describes it, and prints the bytes in hexadecimal.

It needs the package `cryptography`. The result for these arguments is in crates/queue/src/outbox/keys.rs:

    seal.py 000102…1e1f 2026-01 order42 order-42 '{"to": "+31612345678", "text": "Your order has left"}' 101112…1a1b
"""
import os
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def seal(key, key_id, reference, message_key, body, nonce=None):
    nonce = nonce or os.urandom(12)
    additional = f"postduif\n1\n{key_id}\n{reference}\n{message_key}".encode()
    return b"\x01" + nonce + AESGCM(key).encrypt(nonce, body.encode(), additional)


if __name__ == "__main__":
    key, key_id, reference, message_key, body, *nonce = sys.argv[1:]
    nonce = bytes.fromhex(nonce[0]) if nonce else None
    print(seal(bytes.fromhex(key), key_id, reference, message_key, body, nonce).hex())
