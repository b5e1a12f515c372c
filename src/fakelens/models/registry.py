"""The table of models that have a name."""

from dataclasses import dataclass

from fakelens.errors import UsageError

DEFAULT = "fakelens-patch"
"""Name of the bundled model."""


@dataclass(frozen=True, slots=True)
class Download:
    """A published file.

    Attributes:
        url: to download it from.
        sha256: hexadecimal; a file with a different one is refused.
        size: bytes.
    """

    url: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that has a name.

    Attributes:
        name: on the command line, lower case.
        file: file name; its suffix selects the loader.
        licence: SPDX identifier, of the weights.
        download: the published file; ``None`` if it is bundled with fakelens.
    """

    name: str
    file: str
    licence: str
    download: Download | None


def _mesonet(name: str, file: str, sha256: str, size: int) -> KnownModel:
    commit = "2144d56a30e48cdcac1976ff13a1c5cdc86376c6"
    url = f"https://raw.githubusercontent.com/DariusAf/MesoNet/{commit}/weights/{file}"
    return KnownModel(name, file, "Apache-2.0", Download(url, sha256, size))


KNOWN = {
    model.name: model
    for model in (
        KnownModel(DEFAULT, "fakelens-patch.onnx", "Apache-2.0", download=None),
        _mesonet(
            "meso4-df",
            "Meso4_DF.h5",
            "036ed30d04ffd9c7506f825b97c86aa64915f5818931da96817b169aad790af5",
            156128,
        ),
        _mesonet(
            "meso4-f2f",
            "Meso4_F2F.h5",
            "bcfda015d217b9f8d6557693edbdf9f4e79cfd22672541968dd0e2954462b5d7",
            156128,
        ),
        _mesonet(
            "mesoinception4-df",
            "MesoInception_DF.h5",
            "234586d40058e76ef8b6f27ca4b63c06e31c2a5a69c0d8ba6f30b1468ab7bafa",
            197504,
        ),
        _mesonet(
            "mesoinception4-f2f",
            "MesoInception_F2F.h5",
            "d4533ac8a3197dc35c47405d23d99e888c1d0135e267e03540c7451feaccff3f",
            197504,
        ),
    )
}


def find_known(name: str) -> KnownModel:
    """Return the entry of that name.

    Raises:
        UsageError: no such name; the message lists the names.
    """
    try:
        return KNOWN[name]
    except KeyError as error:
        raise UsageError(
            f"no model {name!r}: choose one of {', '.join(KNOWN)}, or give the path of a model file"
        ) from error
