"""The command line: one command a job.

Heavy packages are imported by the command that runs, never by ``--help``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from patchcxr.errors import PatchCXRError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    0: done. 2: the input or the configuration is wrong, said in one line.
    1: a fault of patchcxr itself; ``--debug`` shows the traceback.
    130: interrupted.
    """
    from patchcxr.cli.parser import make_parser, resolve

    options = make_parser().parse_args(arguments)
    if getattr(options, "run", None) is None:
        make_parser().print_help()
        return 0
    try:
        return resolve(options.run)(options) or 0
    except KeyboardInterrupt:
        print("patchcxr: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except (PatchCXRError, OSError, MemoryError) as error:
        if options.debug:
            raise
        print(f"patchcxr: error: {_printable(error) or type(error).__name__}", file=sys.stderr)
        return 2
    except Exception as error:
        if options.debug:
            raise
        print(
            f"patchcxr: internal error: {type(error).__name__}: {_printable(error)} "
            "(please report it; --debug before the command shows where)",
            file=sys.stderr,
        )
        return 1


def _printable(error: Exception) -> str:
    """What an error says, on one line and without control characters: file names may hold commands to the terminal."""
    text = " ".join(str(error).split())
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
