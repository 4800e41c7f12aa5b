"""`python -m sidecar`: settings in, a server out."""

from __future__ import annotations

import asyncio
import os
import sys

from rerank_core.errors import SetupError
from sidecar.signals import end_on_stops


def main(arguments: list[str]) -> int:
    """Runs until it is told to stop. Exit codes: 0 stopped as asked, 2 something to mend."""
    # NumPy's BLAS asks at its import. The engine's workers are the threads here; beside them BLAS's
    # own would spin, which makes a start on a busy machine two seconds longer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from sidecar.config import Settings, read_command_line  # noqa: PLC0415  as said
    from sidecar.security.keys import new_key  # noqa: PLC0415  as said
    from sidecar.telemetry.logs import logging_to_stdout  # noqa: PLC0415  as said

    def read() -> Settings:
        return read_command_line(arguments).settings

    try:
        command = read_command_line(arguments)
        for name in command.ignored:
            print(f"sidecar: {name} is no setting and is ignored", file=sys.stderr)
        if command.check_config:
            from sidecar.check import check  # noqa: PLC0415  as said

            check(command.settings)
            print(command.settings.model_dump_json(indent=2))
            return 0
        if command.make_key is not None:
            key, lines = new_key(command.make_key)
            print(f"{key}\n\n# for keys_file; the key itself is nowhere kept\n{lines}", end="")
            return 0
        # gRPC's core says on stderr once more, in its words, what we say; it asks at its import.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from sidecar.server import serve  # noqa: PLC0415  as said; nor does a check need it

        with logging_to_stdout() as log:
            asyncio.run(serve(command.settings, read, lambda: log.lost))
    except SetupError as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    end_on_stops()
    sys.exit(main(sys.argv[1:]))
