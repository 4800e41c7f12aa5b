"""`make student`, short of the hours that it takes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Holds neither data nor a student."""
    return tmp_path_factory.mktemp("student")


@pytest.fixture(scope="module")
def commands(room):
    """What make would run, as lists of arguments behind `-m distillation`."""
    shown = subprocess.run(
        ["make", "-n", "student", f"DATA={room}/absent", f"OUT={room}/out"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = shown.replace("\\\n", " ").splitlines()
    words = [shlex.split(line) for line in lines if "-m distillation" in line]
    return [line[line.index("distillation") :] for line in words]


def test_it_trains_publishes_and_measures(commands):
    assert [line[1] for line in commands] == ["train", "publish", "measure"]


@pytest.mark.parametrize("number", range(3))
def test_each_of_its_commands_is_one_that_the_command_line_knows(room, commands, number):
    """Exit 2 would be a wrong flag; the data that is not there is exit 1 and is named."""
    done = subprocess.run(
        [sys.executable, "-m", *commands[number]],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"error: {room}/")
