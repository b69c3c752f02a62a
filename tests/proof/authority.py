"""A certification authority for the tests, and openssl as the judge of what it signs.

Lists and answers are made as wrong as a story wants them; the responder is a real `openssl
ocsp` whose index is derived from a CRL, so that it says what the list says.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

CA_VERSION = ObjectIdentifier("1.3.6.1.4.1.311.21.1")
REASONS = {
    1: x509.ReasonFlags.key_compromise,
    4: x509.ReasonFlags.superseded,
    6: x509.ReasonFlags.certificate_hold,
    8: x509.ReasonFlags.remove_from_crl,
}


def key_of(number: int) -> ec.EllipticCurvePrivateKey:
    """A key that the number determines."""
    return ec.derive_private_key(0xC0FFEE + number, ec.SECP256R1())


_ROOT = key_of(500)


def named(common: str) -> x509.Name:
    """A distinguished name of one part."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run openssl."""
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, timeout=60)


@dataclass(frozen=True)
class TestCA:
    """One CA with one key, as of a moment; ``key_index`` is what its CA version says."""

    __test__ = False

    now: datetime
    name: str = "Corp CA"
    number: int = 0
    key_index: int = 0

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """Its key."""
        return key_of(self.number)

    @property
    def certificate(self) -> x509.Certificate:
        """Its certificate, signed by the root."""
        return self._ca(named(self.name), self.key)

    @property
    def root(self) -> tuple[x509.Certificate, x509.CertificateRevocationList]:
        """The root above it, and the root's list, on which nothing is: openssl asks for every list of the chain."""
        begin = self.now - timedelta(days=1)
        builder = x509.CertificateRevocationListBuilder(named("Root CA"), begin, self.now + timedelta(days=30))
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(_ROOT.public_key())
        builder = builder.add_extension(x509.CRLNumber(1), critical=False).add_extension(signer, critical=False)
        return self._ca(named("Root CA"), _ROOT), builder.sign(_ROOT, hashes.SHA256(), ecdsa_deterministic=True)

    def _ca(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        usage = dict.fromkeys(
            ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"], False
        )
        return (
            _builder(named("Root CA"), _ROOT, subject, key.public_key(), 99, self.now, timedelta(days=3650))
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .add_extension(
                x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False),
                critical=True,
            )
            .add_extension(x509.UnrecognizedExtension(CA_VERSION, _version(self.key_index)), critical=False)
            .sign(_ROOT, hashes.SHA256(), ecdsa_deterministic=True)
        )

    def issue(self, serial: int, *, points: Sequence[str] = (), responder: bool = False) -> x509.Certificate:
        """A certificate for the key 1000; ``responder`` gives it the usage OCSPSigning."""
        subject, public = named(f"host {serial:x}"), key_of(1000).public_key()
        builder = _builder(named(self.name), self.key, subject, public, serial, self.now, timedelta(days=365))
        if points:
            named_points = [x509.DistributionPoint(_urls(points), None, None, None)]
            builder = builder.add_extension(x509.CRLDistributionPoints(named_points), critical=False)
        usage = ExtendedKeyUsageOID.OCSP_SIGNING if responder else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self.key, hashes.SHA256(), ecdsa_deterministic=True)

    def crl(self, wish: Wish) -> bytes:
        """A list as wished, in DER."""
        signer = self.key if wish.signer is None else key_of(wish.signer)
        builder = x509.CertificateRevocationListBuilder(
            named(wish.issuer or self.name), self.now + wish.begin, self.now + wish.end
        )
        if wish.key_id:
            known = key_of(self.number if wish.key_id is True else wish.key_id)
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(known.public_key())
            builder = builder.add_extension(identifier, critical=False)
        if wish.version is not None:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(CA_VERSION, _version(wish.version)), critical=False
            )
        if wish.number is not None:
            builder = builder.add_extension(x509.CRLNumber(wish.number), critical=wish.number_critical)
        if wish.base is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(wish.base), critical=True)
        if wish.unknown is not None:
            strange = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
            builder = builder.add_extension(strange, critical=wish.unknown)
        if wish.scope or wish.points:
            builder = builder.add_extension(_point(wish.scope, wish.points), critical=True)
        for serial, reason in wish.entries.items():
            entry = x509.RevokedCertificateBuilder(serial, self.now - timedelta(hours=2))
            if reason:
                entry = entry.add_extension(x509.CRLReason(REASONS[reason]), critical=wish.reason_critical)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


def _builder(
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    serial: int,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    begin = now - timedelta(days=30)
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder(issuer, subject, public, serial, begin, begin + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(known, critical=False)
    )


@dataclass(frozen=True)
class Wish:
    """What a list is to be like; by itself it is as AD CS writes it."""

    number: int | None = 414
    entries: Mapping[int, int] = field(default_factory=dict)
    begin: timedelta = timedelta(minutes=-10)
    end: timedelta = timedelta(days=7)
    issuer: str | None = None
    signer: int | None = None
    key_id: int | bool = True
    version: int | None = 0
    base: int | None = None
    unknown: bool | None = None
    """True: a critical extension that nobody knows; False: one that is not critical."""
    number_critical: bool = False
    reason_critical: bool = False
    scope: str | None = None
    points: Sequence[str] = ()


def _version(key_index: int) -> bytes:
    return b"\x02\x03" + (key_index << 16 | key_index).to_bytes(3, "big")


def _urls(urls: Sequence[str]) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(url) for url in urls]


def _point(scope: str | None, urls: Sequence[str]) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=_urls(urls) or None,
        relative_name=None,
        only_contains_user_certs=scope == "user_certificates",
        only_contains_ca_certs=scope == "ca_certificates",
        only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}) if scope == "some_reasons" else None,
        indirect_crl=scope == "indirect",
        only_contains_attribute_certs=scope == "attribute_certificates",
    )


# ------------------------------------------------------------------------------ openssl's word


def openssl_says(place: Path, ca: TestCA, lists: Sequence[bytes], leaf: x509.Certificate) -> str:
    """What openssl makes of a certificate with these lists: revoked, good or unknown."""
    root, roots_list = ca.root
    (place / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (place / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    (place / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    blocks = roots_list.public_bytes(Encoding.PEM)
    for der in lists:
        # Of several lists openssl takes one by its dates, and only then looks at its signature.
        (place / "one.crl").write_bytes(der)
        checked = openssl("crl", "-inform", "DER", "-in", str(place / "one.crl"), "-CAfile", str(place / "ca.pem"))
        if "verify OK" in checked.stderr:
            blocks += checked.stdout.encode()
    (place / "crls.pem").write_bytes(blocks)
    answer = openssl(
        "verify", "-crl_check_all", "-attime", str(int(ca.now.timestamp())), "-CAfile", str(place / "root.pem"),
        "-untrusted", str(place / "ca.pem"), "-CRLfile", str(place / "crls.pem"), str(place / "leaf.pem"),
    )  # fmt: skip
    if answer.returncode == 0:
        return "good"
    return "revoked" if "error 23 " in answer.stderr else "unknown"


def index_of(crl: Path, good: Sequence[str]) -> str:
    """An index for openssl's responder: what the list revokes (as openssl prints it), and what else was issued."""
    printed = openssl("crl", "-inform", "DER", "-noout", "-text", "-in", str(crl)).stdout
    lines = []
    words = {"Key Compromise": "keyCompromise", "Superseded": "superseded", "Certificate Hold": "certificateHold",
             "Affiliation Changed": "affiliationChanged", "Cessation Of Operation": "cessationOfOperation",
             "CA Compromise": "CACompromise"}  # fmt: skip
    for block in printed.split("Serial Number: ")[1:]:
        serial, date = re.match(r"([0-9A-F]+)\s+Revocation Date: ([^\n]+) GMT", block).groups()  # type: ignore[union-attr]
        moment = datetime.strptime(" ".join(date.split()) + " +0000", "%b %d %H:%M:%S %Y %z")
        said = block.partition("Signature Algorithm")[0]
        reason = next((f",{word}" for text, word in words.items() if text in said), "")
        at = moment.strftime("%y%m%d%H%M%SZ")
        lines.append(f"R\t491231235959Z\t{at}{reason}\t{_even(serial)}\tunknown\t/CN={serial}")
    revoked = {line.split("\t")[3] for line in lines}
    lines += [f"V\t491231235959Z\t\t{_even(s)}\tunknown\t/CN={s}" for s in good if _even(s) not in revoked]
    return "".join(f"{line}\n" for line in lines)


def _even(serial: str) -> str:
    return serial.upper() if len(serial) % 2 == 0 else "0" + serial.upper()


@contextlib.contextmanager
def responder(
    place: Path, ca: x509.Certificate, signer: x509.Certificate, key: ec.EllipticCurvePrivateKey, index: str
) -> Iterator[str]:
    """A real `openssl ocsp` responder on loopback; gives its URL."""
    (place / "index.txt").write_text(index, encoding="ascii")
    (place / "ocsp-ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    (place / "signer.pem").write_bytes(signer.public_bytes(Encoding.PEM))
    (place / "signer.key").write_bytes(
        key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["openssl", "ocsp", "-index", str(place / "index.txt"), "-port", str(port), "-CA", str(place / "ocsp-ca.pem"),
         "-rsigner", str(place / "signer.pem"), "-rkey", str(place / "signer.key"), "-ndays", "1", "-ignore_err"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        # It would wait for ever for what a connection that only looks whether it is there does not send.
        ready = any(b"ACCEPT" in line for line in iter(process.stdout.readline, b""))
        assert ready, "openssl does not like its index"
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
