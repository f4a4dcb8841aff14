"""Content Credentials: a signed manifest (C2PA) that tells how a file was made, and by whom."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from mcld.errors import InputError, MCLDError, SettingsError
from mcld.machine.files import write_whole

_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""Curve of a key -> the algorithm that signs with it."""
_SHORTEST_RSA = 2048
"""Bits of an RSA key, at least."""


@dataclass(frozen=True)
class Signer:
    """Signs files in the name of a certificate's owner; several threads may."""

    certificates: bytes
    """PEM: the signer's own, and those up to what readers trust."""
    key: bytes = field(repr=False)
    """PEM, PKCS #8: the private key of the first certificate."""
    algorithm: str
    """Of the signature, as C2PA calls it, such as es256."""

    def sign(self, file: Path, name: str, source_type: str, tool: str) -> None:
        """Put a signed manifest into a file.

        Args:
            file: in a format that `check_format` lets pass, as its suffix says.
            name: what the manifest calls it.
            source_type: IPTC's digital source type, a URI.
            tool: what made it, name and version.

        Raises MCLDError when it cannot be signed.
        """
        import c2pa

        with write_whole(file) as signed:
            try:
                with self._open(c2pa) as signer, _make_builder(name, source_type, tool) as builder:
                    builder.sign_file(file, signed, signer)
            except c2pa.C2paError as error:
                raise MCLDError(f"{name} cannot be signed: {_tell(error)}") from error

    def check_format(self, path: Path) -> None:
        """Raise SettingsError for a file whose format, by its suffix, has no place for this."""
        import c2pa

        if path.suffix[1:].lower() not in c2pa.Builder.get_supported_mime_types():
            raise SettingsError(
                f"{path}: a {path.suffix} cannot be signed; write another format, or leave out"
                " sample.c2pa_certificate and sample.c2pa_key"
            )

    def try_out(self, certificate: Path) -> None:
        """Raise InputError, which names the certificate's file, where nothing can be signed."""
        import c2pa

        picture = io.BytesIO()
        Image.new("1", (1, 1)).save(picture, "PNG")
        try:
            with self._open(c2pa) as signer, _make_builder("", "", "mcld") as builder:
                builder.sign(signer, "image/png", picture, io.BytesIO())
        except c2pa.C2paError as error:
            raise InputError(f"{certificate} cannot sign: {_tell(error)}") from error

    def _open(self, c2pa: Any) -> Any:
        # No time-stamp authority: nobody is asked over the network.
        info = c2pa.C2paSignerInfo(self.algorithm, self.certificates, self.key, None)
        return c2pa.Signer.from_info(info)


def open_signer(certificate: Path | None, key: Path | None) -> Signer | None:
    """The signer of a certificate and its key, tried out; None where neither is given.

    Args:
        certificate: PEM; the signer's certificate first, then those that vouch for it.
        key: PEM; its private key, without a password: of the curves P-256, P-384 or P-521,
            Ed25519, or RSA.

    Raises SettingsError where only one is given, MCLDError where the extra is not installed, and
    InputError for files that cannot be read, do not belong together, or cannot sign.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "sample.c2pa_certificate" if certificate is None else "sample.c2pa_key"
        raise SettingsError(f"to sign needs a certificate and its key: set {missing}, too")
    try:
        import c2pa  # noqa: F401
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise MCLDError(
            "signing needs a package that is not installed: pip install 'mcld[c2pa]'"
        ) from error

    chain, secret = _read(certificate), _read(key)
    try:
        first = x509.load_pem_x509_certificates(chain)[0]
    except ValueError as error:
        raise InputError(
            f"{certificate} holds no certificate: give a chain of them, PEM"
        ) from error
    try:
        private = serialization.load_pem_private_key(secret, None)
    except TypeError as error:
        raise InputError(f"{key} has a password: give a key without one") from error
    except Exception as error:
        raise InputError(f"{key} holds no private key: give one, PEM") from error
    encoding, subject = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    wanted = first.public_key().public_bytes(encoding, subject)
    if private.public_key().public_bytes(encoding, subject) != wanted:
        raise InputError(f"{key} is not the key of {certificate}, whose first certificate signs")
    plain = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    signer = Signer(chain, plain, _choose_algorithm(private, key))
    signer.try_out(certificate)
    return signer


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _choose_algorithm(private: Any, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES:
        return _CURVES[private.curve.name]
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= _SHORTEST_RSA:
        return "ps256"
    raise InputError(
        f"{path} is a key that C2PA does not know: give one of P-256, P-384, P-521, Ed25519, or RSA"
        f" of at least {_SHORTEST_RSA} bits"
    )


def _make_builder(name: str, source_type: str, tool: str) -> Any:
    import c2pa

    software, _, version = tool.partition(" ")
    created = {"action": "c2pa.created", "digitalSourceType": source_type}
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [created]}, "created": True}
    manifest = {
        "title": name,
        "claim_generator_info": [{"name": software, "version": version}],
        "assertions": [actions],
    }
    # A thumbnail of what is in the same file helps nobody.
    context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
    return c2pa.Builder(manifest, context)


def _tell(error: Exception) -> str:
    return " ".join(str(error).split())
