"""What a check found."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that is not as it should be, or worth knowing."""

    check: str
    """Which check, in a word."""
    text: str
    """One line: what is so, and what to do about it."""
    wrong: bool = True
    """Whether it has to be mended; else it is a note."""

    def __str__(self) -> str:
        return f"{'wrong' if self.wrong else 'note'}: {self.check}: {self.text}"


def note(check: str, text: str) -> Finding:
    """What is worth knowing and may be meant so."""
    return Finding(check, text, wrong=False)
