"""C2PA states: of files signed here with a certificate made here, and without the network."""

import datetime
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fakelens.casework.content_credentials import CredentialState, check_credentials
from fakelens.errors import UsageError


@dataclass
class Signing:
    """A private certificate authority; ``requests`` are those that its server received."""

    chain: bytes
    key: bytes
    root: bytes
    address: str
    requests: list[str]

    def sign(self, source: Path, target: Path, *, remote: bool = False) -> Path:
        c2pa = pytest.importorskip("c2pa")
        info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, self.chain, self.key, None)
        source_type = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
        action = {"action": "c2pa.created", "digitalSourceType": source_type}
        builder = c2pa.Builder(
            {
                "claim_generator_info": [{"name": "test camera", "version": "7"}],
                "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
            }
        )
        if remote:
            builder.set_no_embed()
            builder.set_remote_url(f"{self.address}/manifest.c2pa")
        builder.sign_file(source, target, c2pa.Signer.from_info(info))
        return target


def _certificates(address: str) -> tuple[bytes, bytes, bytes]:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import AuthorityInformationAccessOID as Access  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

    now = datetime.datetime.now(datetime.UTC)

    def name(text: str) -> Any:
        parts = ((NameOID.COMMON_NAME, text), (NameOID.ORGANIZATION_NAME, "Test"))
        return x509.Name([x509.NameAttribute(*part) for part in parts])

    def usage(*, signs: bool) -> Any:
        return x509.KeyUsage(True, False, False, False, False, signs, signs, False, False)

    def begin(subject: str, key: Any, number: int) -> Any:
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("root"))
        builder = builder.public_key(key.public_key()).serial_number(number)
        builder = builder.not_valid_before(now - datetime.timedelta(1))
        builder = builder.not_valid_after(now + datetime.timedelta(30))
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return builder.add_extension(identifier, critical=False)

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = (
        begin("root", root_key, 1)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(usage(signs=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    place = x509.UniformResourceIdentifier(f"{address}/ocsp")
    leaf = (
        begin("test signer", key, 2)
        .add_extension(x509.BasicConstraints(False, None), critical=True)
        .add_extension(usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(
            x509.AuthorityInformationAccess([x509.AccessDescription(Access.OCSP, place)]),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
            critical=False,
        )
        .sign(root_key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    leaf_pem, root_pem = leaf.public_bytes(encoding), root.public_bytes(encoding)
    return leaf_pem + root_pem, private, root_pem


@pytest.fixture(scope="module")
def signing() -> Iterator[Signing]:
    pytest.importorskip("c2pa", reason="c2pa-python is not installed")
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        do_POST = do_GET  # noqa: N815 - the name that the server looks up

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        yield Signing(*_certificates(address), address, requests)
        server.shutdown()
        thread.join()


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.jpg"
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.usefixtures("signing")
def test_a_plain_file_has_no_manifest(plain: Path) -> None:
    assert check_credentials(plain).state is CredentialState.ABSENT


def test_a_signature_is_valid_and_trusted_only_with_its_anchor(
    signing: Signing, plain: Path, tmp_path: Path
) -> None:
    signed = signing.sign(plain, tmp_path / "signed.jpg")
    found = check_credentials(signed)
    assert found.state is CredentialState.VALID
    assert "no trust anchors given" in found.explanation
    assert dict(found.details) == {
        "C2PA claim made by": "test camera 7",
        "C2PA signed by": "test signer, Test",
        "C2PA time of signing": "no trusted time",
        "C2PA actions claimed": "c2pa.created",
        "C2PA source type claimed": "trainedAlgorithmicMedia",
    }
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(signing.root)
    assert check_credentials(signed, anchors).state is CredentialState.TRUSTED
    anchors.write_bytes(_certificates(signing.address)[2])  # of another authority
    other = check_credentials(signed, anchors)
    assert other.state is CredentialState.VALID
    assert "not to one of the trust anchors given" in other.explanation
    assert signing.requests == []  # the certificate names an OCSP server


def test_a_changed_file_is_invalid(signing: Signing, plain: Path, tmp_path: Path) -> None:
    signed = signing.sign(plain, tmp_path / "signed.jpg")
    content = bytearray(signed.read_bytes())
    content[-200] ^= 0x55
    signed.write_bytes(content)
    found = check_credentials(signed)
    assert found.state is CredentialState.INVALID
    assert "assertion.dataHash.mismatch" in found.explanation
    assert "untrusted" not in found.explanation


def test_a_manifest_elsewhere_is_not_fetched(signing: Signing, plain: Path, tmp_path: Path) -> None:
    found = check_credentials(signing.sign(plain, tmp_path / "remote.jpg", remote=True))
    assert found.state is CredentialState.NOT_CHECKED
    assert "not fetched" in found.explanation
    assert signing.requests == []


@pytest.mark.usefixtures("signing")
def test_a_file_of_another_kind_is_not_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(b"\x1aE\xdf\xa3" + bytes(100))
    assert check_credentials(path).state is CredentialState.NOT_CHECKED


def test_without_the_package_nothing_is_checked(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = check_credentials(plain)
    assert found.state is CredentialState.NOT_CHECKED
    assert "not installed" in found.explanation


@pytest.mark.usefixtures("signing")
def test_anchors_that_are_none_are_an_error(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        check_credentials(plain, tmp_path / "none.pem")
    with pytest.raises(UsageError, match="contains no certificate"):
        check_credentials(plain, plain)


def test_a_failure_of_the_library_is_not_an_invalid_manifest(tmp_path: Path) -> None:
    pytest.importorskip("c2pa")
    found = check_credentials(tmp_path / "gone.jpg")
    assert found.state is CredentialState.NOT_CHECKED
    assert found.explanation.startswith("The C2PA library failed")


def test_a_package_that_cannot_be_loaded_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "c2pa"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "c2pa.py").write_text("raise OSError('its library is damaged')")
    monkeypatch.syspath_prepend(tmp_path)
    found = check_credentials(tmp_path / "any.jpg")
    assert found.state is CredentialState.NOT_CHECKED
    assert found.explanation == (
        "The package c2pa-python cannot be loaded: its library is damaged."
    )
