"""Makes pyjwt.json: a key set and tokens, written by PyJWT 2.15.1 and cryptography 50.0.2.

The keys are thrown away. Run `pip install pyjwt cryptography`, then `python make.py > pyjwt.json`.
"""

import base64
import hashlib
import hmac
import json

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

TENANT = "7e4a4700-0000-4000-8000-000000000001"
CLAIMS = {
    "aud": "3f0c8a61-52a4-4f0b-9a39-0f6f2a1b7c10",
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "iat": 1800000000,
    "nbf": 1800000000,
    "exp": 1800003600,
    "azp": "9b1c3e5f-2d4a-4c6e-8a90-1b2c3d4e5f60",
    "azpacr": "2",
    "oid": "2a3b4c5d-6e7f-4081-92a3-b4c5d6e7f809",
    "tid": TENANT,
    "ver": "2.0",
}
V1 = {
    **{name: value for name, value in CLAIMS.items() if name not in ("azp", "azpacr")},
    "iss": f"https://sts.windows.net/{TENANT}/",
    "appid": CLAIMS["azp"],
    "appidacr": "2",
    "ver": "1.0",
}

keys = {bits: rsa.generate_private_key(65537, bits) for bits in (1024, 2048, 3072, 4096)}


def token(bits, claims=CLAIMS, algorithm="RS256"):
    return jwt.encode(claims, keys[bits], algorithm, headers={"kid": str(bits)})


def confused(encoding, form):
    """HS256, with the public key as its secret."""
    encode = lambda part: base64.urlsafe_b64encode(part).rstrip(b"=")
    header = {"alg": "HS256", "typ": "JWT", "kid": "2048"}
    signed = b".".join(encode(json.dumps(part).encode()) for part in (header, CLAIMS))
    secret = keys[2048].public_key().public_bytes(encoding, form)
    return b".".join([signed, encode(hmac.new(secret, signed, hashlib.sha256).digest())]).decode()


public = [
    {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": str(bits), "use": "sig"}
    for bits, key in keys.items()
]
for key in public:
    key.pop("key_ops", None)
spki = serialization.PublicFormat.SubjectPublicKeyInfo
tokens = {
    "v1": token(2048, V1),
    "v2": token(2048),
    "rsa1024": token(1024),
    "rsa3072": token(3072),
    "rsa4096": token(4096),
    "PS256": token(2048, algorithm="PS256"),
    "RS384": token(2048, algorithm="RS384"),
    "RS512": token(2048, algorithm="RS512"),
    "HS256 under PEM": confused(serialization.Encoding.PEM, spki),
    "HS256 under DER": confused(serialization.Encoding.DER, spki),
    "none": jwt.encode(CLAIMS, None, "none", headers={"kid": "2048"}),
}
print(json.dumps({"keys": public, "tokens": tokens}, indent=1))
