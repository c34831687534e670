"""Errors of a disk or file server as a whole, which are no fault of the film at hand."""

from __future__ import annotations

import errno
from typing import Final


def _numbers(*names: str) -> frozenset[int]:
    """Numbers of those errors that this system knows."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


FULL: Final = _numbers("ENOSPC", "EDQUOT", "EROFS")
"""Nothing can be written until somebody makes room."""

AWAY: Final = _numbers(
    *("ENOTCONN", "ESTALE", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ECONNREFUSED"),
    *("ECONNRESET", "ECONNABORTED", "EPIPE", "EBADFD", "EREMOTEIO", "ENODEV", "ENXIO"),
)
"""A server or device cannot be reached now, and may come back. ``EIO`` is not among them: a bad sector under one film
says the same."""


def outage(error: BaseException) -> OSError | None:
    """The error of the storage that is, or led to, an error; None if it has another cause.

    >>> outage(OSError(errno.ENOSPC, "No space left on device")) is None
    False
    >>> outage(FileNotFoundError(errno.ENOENT, "No such file")) is None
    True
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL | AWAY:
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
