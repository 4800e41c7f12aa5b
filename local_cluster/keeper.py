"""Runs a program that must not outlive us.

`start_kept` does not start the program but this file as a script, which starts the program, waits
and

- ends the program's whole process group when it is asked to (SIGTERM) or when our process is gone,
  however it went: it looks at its own parent twice a second, which no way of dying can avoid;
- removes the program's folder when our process is gone, since nobody else will;
- takes the program with it when it is killed itself: the kernel does that (PR_SET_PDEATHSIG).

The kernel's signal alone would not do: it is sent when the *thread* that started the program ends,
it does not reach the program's children, and it leaves the folder.

As a script this is the standard library alone, for it runs isolated from our environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY_S = 0.5
_GRACE_S = 10.0
_AWAITED = {signal.SIGTERM, signal.SIGCHLD}


def start_kept(
    command: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    output: IO[bytes],
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """The keeper of the started command; ends with the command and with its exit status.

    The command runs in `folder`, as `user` (None: as we do), in a session of its own, so that a
    Ctrl-C in the terminal is ours alone to act on. `stop_kept` ends it.
    """
    keeper = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    return subprocess.Popen(
        [*keeper, str(os.getpid()), str(folder), user or "", *command],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def stop_kept(keeper: subprocess.Popen[bytes]) -> None:
    """Ends the command, first politely and after ten seconds by force, and waits for its end."""
    if keeper.poll() is None:
        keeper.terminate()
    keeper.wait()


def _keep(parent: int, folder: str, user: str, command: Sequence[str]) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    libc = ctypes.CDLL(None, use_errno=True)
    keeper = os.getpid()

    def die_with_keeper() -> None:
        # Runs last before exec: a change of user would clear it.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)

    account: dict[str, Any] = {}
    if user:
        import pwd  # noqa: PLC0415 - a keeper of our own account starts without it

        account = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    program = subprocess.Popen(
        command,
        start_new_session=True,
        preexec_fn=die_with_keeper,  # noqa: PLW1509 - there is one thread here
        **account,
    )
    while program.poll() is None and os.getppid() == parent:
        heard = signal.sigtimedwait(_AWAITED, _LOOK_EVERY_S)
        if heard is not None and heard.si_signo == signal.SIGTERM:
            break
    _end(program)
    if os.getppid() != parent:
        shutil.rmtree(folder, ignore_errors=True)
    return program.returncode


def _end(program: subprocess.Popen[bytes]) -> None:
    """Leaves nobody of the program's process group, also where the program itself has ended."""
    if program.poll() is None:
        os.killpg(program.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(_GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def _main() -> None:
    parent, folder, user, *command = sys.argv[1:]
    code = _keep(int(parent), folder, user, command)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    _main()
