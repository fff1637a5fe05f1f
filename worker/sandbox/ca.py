"""A small CA: roots, intermediates and leaves as real ones are, with everything overridable."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A leaf with its chain (root not in it) and its key."""

    certificate: x509.Certificate
    chain_pem: str
    private_key_pem: str = field(repr=False)

    @property
    def serial_number(self) -> int:
        return self.certificate.serial_number


@dataclass(frozen=True, slots=True)
class Authority:
    """A root and one intermediate that issues."""

    root: x509.Certificate
    intermediate: x509.Certificate
    key: Key = field(repr=False)

    @classmethod
    def create(cls, name: str = "Sandbox") -> "Authority":
        root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root_name, issuing = _name(f"{name} Root"), _name(f"{name} Issuing CA")
        now = dt.datetime.now(dt.UTC)
        # As CAs do: a certificate is good at once, for clocks that are slow too.
        begins, years = now - dt.timedelta(hours=1), now + dt.timedelta(days=3650)
        root = _ca(_builder(root_name, root_name, root_key, begins, years), root_key, root_key)
        intermediate = _ca(_builder(issuing, root_name, key, begins, years), key, root_key)
        return cls(root, intermediate, key)

    @property
    def root_pem(self) -> str:
        return _pem(self.root)

    def issue(
        self,
        names: Sequence[str],
        *,
        key: Key | None = None,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        usage: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
        is_ca: bool = False,
        extra: Sequence[x509.ExtensionType] = (),
        algorithm: Literal["sha256", "sha384"] = "sha256",
    ) -> Issued:
        """A leaf for these names (domains, or addresses), from an hour ago for ninety days where nothing is said."""
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        begins = not_before or now - dt.timedelta(hours=1)
        ends = not_after or begins + dt.timedelta(days=90)
        own = key or ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(names[0] if names else "nobody"), self.intermediate.subject, own, begins, ends)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        for extension in extra:
            builder = builder.add_extension(extension, critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        digest = hashes.SHA384() if algorithm == "sha384" else hashes.SHA256()
        certificate = builder.sign(self.key, digest)
        return Issued(certificate, _pem(certificate) + _pem(self.intermediate), key_pem(own))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, begins: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), begins, ends)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _ca(builder: x509.CertificateBuilder, key: Key, issuer: Key) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    if issuer is not key:
        about = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
        builder = builder.add_extension(about, critical=False)
    return builder.sign(issuer, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def key_pem(key: Key, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
