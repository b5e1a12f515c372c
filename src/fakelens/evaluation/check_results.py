"""The result of one check of a model."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "caution", "wrong", "not checked"]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: of the check.
        outcome: ``"wrong"`` would mislead; ``"caution"`` may, or limits what can be believed.
        finding: what was measured; a sentence.
        advice: what to do; a sentence, empty unless something is wrong.
    """

    name: str
    outcome: Outcome
    finding: str
    advice: str = ""

    @property
    def sentence(self) -> str:
        """Finding and advice."""
        return f"{self.finding}: {self.advice}" if self.advice else self.finding
