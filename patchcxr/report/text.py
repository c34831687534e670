"""Text of unknown origin, made fit to be shown."""

from __future__ import annotations


def one_line(text: str) -> str:
    r"""Text without line ends, control characters and marks that turn its direction.

    >>> one_line("a\nb")
    'a¤b'
    """
    return "".join(letter if letter.isprintable() else "¤" for letter in str(text))
