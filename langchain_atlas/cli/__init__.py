"""The command line ``langchain-atlas``, one file for each command."""

import gc
import sys
from typing import NoReturn

from langchain_atlas.errors import AtlasError, InvalidInputError, SlimInstallError
from langchain_atlas.masking import masked

_INTERRUPTED = 130
_COLLECT_AFTER = 100_000
"""New objects after which Python looks for garbage; after its usual 700, a command spends a fifth of its time on that,
because it makes many objects that stay: modules, and rows of tables."""


def main() -> None:
    """Run the command line.

    Exit status 0 on success, 2 for a caller's mistake, 1 for a failure, 130 when interrupted.
    """
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
    from langchain_atlas.cli.app import app

    try:
        app()
    except AtlasError as error:
        _tell(error)
        sys.exit(2 if isinstance(error, InvalidInputError) else 1)
    except ModuleNotFoundError as error:
        told = SlimInstallError.of("This", error)
        if told is None:
            raise
        _tell(told)
        sys.exit(1)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as left:
        if left.code == _INTERRUPTED:  # typer has caught the interrupt, and prints nothing
            _stopped()
        raise


def _tell(error: AtlasError) -> None:
    sys.stderr.write(masked("\n".join([f"Error: {error}", *error.__notes__, ""])))


def _stopped() -> NoReturn:
    sys.stderr.write("Stopped.\n")
    sys.exit(_INTERRUPTED)
