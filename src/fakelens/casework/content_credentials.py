"""The state of a file's C2PA manifest (Content Credentials), without using the network.

C2PA: Coalition for Content Provenance and Authenticity, Technical Specification 2.
"""

import json
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

from fakelens.errors import UsageError

_OFFLINE = {
    "version": 1,
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
    "core": {"allowed_network_hosts": []},
}
_MAX_FAILURES = 5


class CredentialState(StrEnum):
    """The state of a manifest, as the C2PA library reports it.

    ``VALID``: signature and content match. ``TRUSTED``: and the certificate leads to one of the
    trust anchors that were given. ``NOT_CHECKED``: not looked at, or only in part.
    """

    TRUSTED = "trusted"
    VALID = "valid"
    INVALID = "invalid"
    ABSENT = "absent"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is known about a file's manifest.

    Attributes:
        state: of the manifest.
        explanation: what the state means here; a sentence.
        details: name and value of what the manifest claims.
    """

    state: CredentialState
    explanation: str
    details: tuple[tuple[str, str], ...] = ()


def check_credentials(path: Path, anchors: Path | None = None) -> Credentials:
    """Check the C2PA manifest inside a file.

    Args:
        path: of the file.
        anchors: PEM file of the certificates that are trusted; without it nothing is *trusted*.

    Raises:
        UsageError: the trust anchors cannot be read.
    """
    try:
        c2pa = import_module("c2pa")
    except ModuleNotFoundError as error:
        if error.name != "c2pa":
            return _not_loaded(error)
        return Credentials(
            CredentialState.NOT_CHECKED, "The package c2pa-python (extra c2pa) is not installed."
        )
    except (ImportError, OSError, RuntimeError) as error:  # its native library
        return _not_loaded(error)
    settings: dict[str, Any] = dict(_OFFLINE)
    if anchors:
        settings["trust"] = {"user_anchors": _read_anchors(anchors)}
    try:
        with closing(c2pa.Context(c2pa.Settings.from_dict(settings))) as context:
            return _read(c2pa, path, context, has_anchors=anchors is not None)
    except c2pa.C2paError as error:
        return _unreadable(c2pa, error)


def _not_loaded(error: Exception) -> Credentials:
    return Credentials(
        CredentialState.NOT_CHECKED, f"The package c2pa-python cannot be loaded: {error}."
    )


def _read_anchors(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        text = ""
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise UsageError(f"{path}: contains no certificate; give trust anchors as a PEM file")
    return text


def _read(c2pa: Any, path: Path, context: Any, *, has_anchors: bool) -> Credentials:
    with closing(c2pa.Reader(path, context=context)) as reader:
        state = str(reader.get_validation_state()).lower()
        store = json.loads(reader.json())
    if state == "trusted":
        explanation = (
            "The signature is valid, the content matches it, and the certificate leads to one of "
            "the trust anchors given."
        )
        return Credentials(CredentialState.TRUSTED, explanation, _details(store))
    if state == "valid":
        why = "not to one of the trust anchors given" if has_anchors else "no trust anchors given"
        explanation = (
            f"The signature is valid and the content matches it. Who signed is not proven: {why}."
        )
        return Credentials(CredentialState.VALID, explanation, _details(store))
    failures = "; ".join(_failures(store)) or "no reason reported"
    explanation = f"The manifest does not match the file or its signature: {failures}."
    return Credentials(CredentialState.INVALID, explanation, _details(store))


def _unreadable(c2pa: Any, error: Exception) -> Credentials:
    text = str(error)
    if isinstance(error, c2pa.C2paError.ManifestNotFound):
        return Credentials(CredentialState.ABSENT, "The file contains no C2PA manifest.")
    if isinstance(error, c2pa.C2paError.NotSupported):
        return Credentials(
            CredentialState.NOT_CHECKED, "The C2PA library does not read this kind of file."
        )
    if text.startswith("Remote:"):
        return Credentials(
            CredentialState.NOT_CHECKED,
            "The file refers to a manifest at an address; it was not fetched.",
        )
    errors = c2pa.C2paError
    of_manifest = (errors.Assertion, errors.Decoding, errors.Json, errors.Manifest)
    if isinstance(error, (*of_manifest, errors.Signature, errors.Verify)):
        return Credentials(CredentialState.INVALID, f"The manifest cannot be read: {text}.")
    # Such as an unreadable file: it says nothing about the manifest.
    return Credentials(CredentialState.NOT_CHECKED, f"The C2PA library failed: {text}.")


def _failures(store: Any) -> list[str]:
    found = store.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    # That nobody trusts the certificate is no reason why a manifest is invalid.
    codes = [one.get("code", "") for one in found]
    return [code for code in codes if code != "signingCredential.untrusted"][:_MAX_FAILURES]


def _details(store: Any) -> tuple[tuple[str, str], ...]:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = manifest.get("signature_info", {})
    generators = [
        " ".join(str(one[key]) for key in ("name", "version") if one.get(key))
        for one in manifest.get("claim_generator_info", [])
    ]
    actions = [
        action
        for assertion in manifest.get("assertions", [])
        if assertion.get("label", "").startswith("c2pa.actions")
        for action in assertion.get("data", {}).get("actions", [])
    ]
    sources = [one["digitalSourceType"] for one in actions if one.get("digitalSourceType")]
    values = {
        "C2PA claim made by": ", ".join(generators),
        "C2PA signed by": ", ".join(
            str(signature[key]) for key in ("common_name", "issuer") if signature.get(key)
        ),
        "C2PA time of signing": signature.get("time", "no trusted time"),
        "C2PA actions claimed": ", ".join(one.get("action", "") for one in actions),
        "C2PA source type claimed": ", ".join(source.rsplit("/", 1)[-1] for source in sources),
    }
    return tuple((name, value) for name, value in values.items() if value)
