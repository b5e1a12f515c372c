"""The error that routes raise to refuse a request."""


class ProblemError(Exception):
    """A request that cannot be fulfilled; the client receives the sentence.

    Attributes:
        status: HTTP status.
        sentence: what is wrong and what to do, without a full stop.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
