"""A peer's process: started by uv with the peer's own packages, asked by lines of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.engine.peers import child
from rerank_core.errors import ToolMissingError

# The first start of a peer installs its packages.
_START_S = 900.0
_ANSWER_S = 300.0
_REASON_CHARACTERS = 160
_FINISH_S = 5.0


class PeerProcess:
    """One peer in one setting. Close it; it also ends with this process, when its input does."""

    def __init__(self, peer: ModuleType, job: Mapping[str, Any]) -> None:
        """Starts it and waits until its model is loaded. Raises `ToolMissingError` with why not."""
        self._process = subprocess.Popen(  # noqa: S603  uv, and files of ours
            command(peer.REQUIREMENTS, Path(str(peer.__file__))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"},
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
        self._words: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self.versions: dict[str, str] = self._ask(dict(job), _START_S)["ready"]
        except BaseException:
            self.close()
            raise

    def score(self, workload: str, number: int) -> tuple[float, list[float]]:
        """Milliseconds and logits of a request of the job. Raises `ToolMissingError`."""
        answer = self._ask([workload, number], _ANSWER_S)
        return answer["ms"], answer["logits"]

    def _ask(self, message: object, timeout_s: float) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ToolMissingError("the peer has no pipes")
        alarm = threading.Timer(timeout_s, self._kill)
        alarm.start()
        try:
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            alarm.cancel()
        if not line:
            self._listener.join(_FINISH_S)
            last = next((word for word in reversed(self._words) if word.strip()), "no word")
            raise ToolMissingError(f"ended without an answer: {last.strip()[:_REASON_CHARACTERS]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            reason = " ".join(answer["error"].split())
            raise ToolMissingError(reason[:_REASON_CHARACTERS])
        return answer

    def _listen(self) -> None:
        """Keeps the last of what it says on stderr, so that the pipe never fills."""
        for line in self._process.stderr or ():
            self._words = [*self._words[-20:], line]

    def close(self) -> None:
        """Ends it, and with it what uv started. Safe to repeat."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it is gone already
                self._process.stdin.close()
        try:
            self._process.wait(_FINISH_S)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)


def command(requirements: Sequence[str], peer: Path) -> list[str]:
    """What starts a peer. Raises `ToolMissingError` without uv."""
    try:
        from uv import find_uv_bin  # noqa: PLC0415  of the extra `bench`
    except ImportError as error:
        raise ToolMissingError(
            "uv is not installed; peers have environments of their own, made by it: "
            "pip install 'rerank-sidecar[bench]'"
        ) from error
    packages = [word for requirement in requirements for word in ("--with", requirement)]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = ["--quiet", "--no-project", "--isolated", "--python", version, *packages]
    # -P: the folder of the peers is not on their path, where a file could pass for a package.
    return [find_uv_bin(), "run", *environment, "python", "-P", str(child.__file__), str(peer)]
