"""Throw-away certificates, and what files say that are signed with them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

c2pa = pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402

KEYS: dict[str, Callable[[], Any]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


def make_certificate(key: Any, issuer: str, issuer_key: Any, *, age: int = 1, name: str = "Ann"):
    """A certificate of the profile that C2PA asks for, valid for ten days; age: days."""
    authority = name == issuer
    start = datetime.now(UTC) - timedelta(days=age)
    called = {n: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (name, issuer)}
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    usage |= {"digital_signature": not authority, "key_cert_sign": authority}
    builder = (
        x509.CertificateBuilder()
        .subject_name(called[name])
        .issuer_name(called[issuer])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=10))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if not authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def write_pair(folder: Path, kind: str = "P-256", *, age: int = 1) -> tuple[Path, Path]:
    """A throw-away chain and the key of its first certificate."""
    authority, key = KEYS["P-256"](), KEYS[kind]()
    root = make_certificate(authority, "Root", authority, name="Root")
    chain = [make_certificate(key, "Root", authority, age=age), root]
    files = folder / f"{kind}-{age}.pem", folder / f"{kind}-{age}.key"
    files[0].write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain))
    files[1].write_bytes(pack(key))
    return files


def pack(key: Any, password: bytes | None = None) -> bytes:
    locked = serialization.BestAvailableEncryption(password) if password else None
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        locked or serialization.NoEncryption(),
    )


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a file whose signature and content agree; its chain ends in no known root."""
    with c2pa.Reader(str(path)) as reader:
        told = json.loads(reader.json())
    assert told["validation_state"] == "Valid"
    faults = {fault["code"] for fault in told["validation_status"]}
    assert faults == {"signingCredential.untrusted"}
    return told["manifests"][told["active_manifest"]]
