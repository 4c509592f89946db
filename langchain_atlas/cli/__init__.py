"""The command line ``langchain-atlas``, one file for each command."""

import sys

from langchain_atlas.errors import AtlasError, InvalidInputError


def main() -> None:
    """Run the command line.

    Exit status 0 when all went well, 2 for a caller's mistake, 1 for a failure.
    """
    from langchain_atlas.cli.app import app

    try:
        app()
    except AtlasError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2 if isinstance(error, InvalidInputError) else 1)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(130)
