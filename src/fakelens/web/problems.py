"""Why a request gets no better answer."""


class ProblemError(Exception):
    """Answered with a sentence.

    Attributes:
        status: HTTP status.
        sentence: what is wrong and what to do.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
