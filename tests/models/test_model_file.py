"""Model files: what they state, and one sentence for each mistake."""

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import TypeAdapter

from fakelens.errors import ModelError
from fakelens.models.model_file import json_schema, read_model_file
from fakelens.records.models import ModelCard

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "model-file.schema.json"

WEIGHTS = '[weights]\nfactory = "arch:build"\n'
CARD = '[card]\ninput_size = 64\ncrop = { reference = "box", scale = 1.3 }\n'
CONVENTION = '[convention]\noutputs = ["fake"]\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n'
RECORD = '[[card.error_records]]\nname = "a"\ndata = "b"\nindependent = true\ncommand = "c"\n'


def test_a_short_file_has_honest_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(WEIGHTS + CARD + CONVENTION)
    found = read_model_file(path)
    card = found.card
    assert (card.name, card.version, card.licence, card.trained_on) == ("mine", *["unknown"] * 3)
    assert card.thresholds.source.startswith("not calibrated")
    assert (card.calibration, card.error_records, found.layout) == (None, (), None)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as editors on Windows write it
    assert read_model_file(path) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"the table \[weights\] is missing"),
        ("\0", "is not a TOML file"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        (WEIGHTS + CARD, r"the table \[convention\] is missing"),
        ("card = 3\n" + WEIGHTS + CONVENTION, r"card must be one table, \[card\]"),
        ('card = "input_size crop"\n' + WEIGHTS + CONVENTION, "card must be one table"),
        (WEIGHTS + CONVENTION + CARD.replace("[card]", "[[card]]"), "card must be one table"),
        (WEIGHTS + CARD + CONVENTION.replace("std", "sdt"), r"value convention\.sdt is not known"),
        (WEIGHTS + CARD + CONVENTION.replace("std", "#"), r"value convention\.std is missing"),
        ("colour = 1\n" + WEIGHTS + CARD + CONVENTION, "the value colour is not known"),
        (WEIGHTS + CARD.replace("1.3", "1.3, m = 1") + CONVENTION, r"card\.crop\.m is not known"),
        (WEIGHTS + CARD + RECORD + 'counts = [{ labl = "real" }]\n' + CONVENTION,
         r"card\.error_records\.0\.counts\.0\.labl is not known"),
        (WEIGHTS + CARD + RECORD + "cllr = 0.5\ncounts = [{ label = 'no' }]\n" + CONVENTION,
         r"card\.error_records\.0\.counts\.0\.dataset is missing"),
        (WEIGHTS + CARD.replace("64", '"64"') + CONVENTION,
         r'card\.input_size must be a whole number, not "64"'),
        (WEIGHTS + CARD.replace("64", "true") + CONVENTION, "must be a whole number, not true"),
        (WEIGHTS + CARD.replace("64", "0") + CONVENTION, "must lie between 8 and 4096 pixels"),
        (WEIGHTS + CARD.replace("64", "1" + "0" * 40) + CONVENTION, "between 8 and 4096"),
        (WEIGHTS + CARD.replace("box", "face") + CONVENTION,
         r'card\.crop\.reference must be \'box\' or \'dlib\', not "face"'),
        (WEIGHTS + CARD.replace("1.3", "-1") + CONVENTION, r"card\.crop\.scale must be positive"),
        (WEIGHTS + CARD + "smallest_face = -3\n" + CONVENTION, r"smallest_face must not be neg"),
        (WEIGHTS + CARD + 'name = " "\n' + CONVENTION, r"card\.name is not valid"),
        (WEIGHTS + CARD + 'limits = "none"\n' + CONVENTION, r"card\.limits must be a list in br"),
        (WEIGHTS + CARD + 'thresholds = { fake = 0.2, real = 0.7, source = "x" }\n' + CONVENTION,
         r"card\.thresholds is not valid: thresholds must satisfy"),
        (WEIGHTS + CARD + CONVENTION.replace("[0, 0, 0]", "[0, 0]"), r"mean has too few parts: n"),
        (WEIGHTS + CARD + CONVENTION.replace("[0, 0, 0]", "[0, 0, 0, 0]"), "has 4 parts, not 3"),
        (WEIGHTS + CARD + CONVENTION.replace("[0, 0, 0]", "0.5"), r"mean must be a list in brack"),
        (WEIGHTS + CARD + CONVENTION.replace("[0,", "[nan,"), r"mean\.0 is not a finite number"),
        (WEIGHTS + CARD + CONVENTION.replace("[1,", "[0,"), "deviations must be positive"),
        (WEIGHTS + CARD + CONVENTION.replace('["fake"]', '"fake"'), r"outputs must be a list"),
        (WEIGHTS + CARD + CONVENTION.replace("fake", "dog"), "must be fake or real, not 'dog'"),
        (WEIGHTS + CARD + CONVENTION + "field = 1.5\n", r"convention\.field must be a text"),
        (WEIGHTS + CARD + CONVENTION + '[layout]\nkind = "tokens"\n', "needs a grid"),
        ("[weights]\n" + CARD + CONVENTION, "weights need a file or a factory"),
        (WEIGHTS.replace(":", ".") + CARD + CONVENTION, "given as module:function, not 'arch.bu"),
        (WEIGHTS + "key = 'x'\n" + CARD + CONVENTION, r"weights\.key is about a file, but no"),
        (WEIGHTS + f"sha256 = '{'0' * 64}'\n" + CARD + CONVENTION, r"weights\.sha256 is about"),
        (WEIGHTS + "file = 'x'\nsha256 = '12'\n" + CARD + CONVENTION, "64 hexadecimal digits"),
        (WEIGHTS + "file = 'x.ONNX'\n" + CARD + CONVENTION, "contains its architecture"),
        (WEIGHTS + 'file = "a\\u0000b"\n' + CARD + CONVENTION, r"weights\.file is not valid"),
        ("[weights]\nfile = 'x'\narguments = { a = 1 }\n" + CARD + CONVENTION, "of a factory, but"),
        (WEIGHTS + "trusted = 'no'\n" + CARD + CONVENTION, "trusted must be true or false"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match=words) as caught:
        read_model_file(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert "Input should" not in message  # pydantic's words


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mine\.toml does not exist"):
        read_model_file(tmp_path / "mine.toml")
    with pytest.raises(ModelError, match="cannot be read"):
        read_model_file(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes("# Übung".encode("latin-1"))
    with pytest.raises(ModelError, match="it is not text in UTF-8"):
        read_model_file(path)


def test_the_published_schema_is_the_one_in_use() -> None:
    wanted = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    assert SCHEMA.read_text(encoding="utf-8") == wanted, (
        f"write {SCHEMA.name} again: json.dumps(json_schema(), indent=1, ensure_ascii=False)"
    )


def test_the_schema_accepts_what_is_read_and_nothing_else() -> None:
    crop = {"reference": "box", "scale": 1.3}
    good = {
        "weights": {"factory": "arch:build"},
        "card": {"input_size": 64, "crop": crop},
        "convention": {"outputs": ["fake"], "mean": [0, 0, 0], "std": [1, 1, 1]},
    }
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid(good)
    for table, changed in (
        ("weights", {}),
        ("card", {"input_size": 64}),
        ("card", {"input_size": 64, "crop": crop | {"margin": 1}}),
        ("convention", {"outputs": ["fake"], "mean": [0, 0, 0]}),
        ("layouts", {}),
    ):
        assert not validator.is_valid(good | {table: changed})


def test_the_card_is_that_of_evidence_models() -> None:
    ours = json_schema()["$defs"]
    theirs = TypeAdapter(ModelCard).json_schema()
    assert ours["ModelCard"]["properties"] == theirs["properties"]
    for name, record in theirs["$defs"].items():
        assert ours[name]["properties"] == record["properties"]
        assert ours[name].get("required") == record.get("required")
