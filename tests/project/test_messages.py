"""The list of error messages in the docs is that of the code, and reads as messages should."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_messages", ROOT / "docs/make_messages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_in_the_docs_is_that_of_the_code(maker: ModuleType) -> None:
    page = (ROOT / "docs" / "reference" / "messages.md").read_text(encoding="utf-8")
    assert page == maker.make_page(), "run python docs/make_messages.py"


def test_known_messages_are_found(maker: ModuleType) -> None:
    texts = {text for _, _, text in maker.find_messages()}
    assert "every must be 1 (each frame) or more, not {every}" in texts
    assert any("needs the extra 'web'" in text for text in texts)
    assert len(texts) > 80


def test_messages_are_sentences_without_a_full_stop_or_an_old_word(maker: ModuleType) -> None:
    old = re.compile(r"\b(network|glimpse|sighting|specimen|planted|hangs on|lies? there)\b", re.I)
    for message in maker.find_messages():
        assert not message.text.endswith("."), message
        assert "\n" not in message.text, message
        assert not old.search(message.text), message
