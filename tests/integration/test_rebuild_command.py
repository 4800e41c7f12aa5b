"""The command as a process of its own: what it prints, how it ends, and what a kill leaves."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opensearchpy import OpenSearch
from typer.testing import CliRunner, Result

from index_builder.commands import app
from index_builder.interrupts import Terminated, sigterm_interrupts
from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings
from tests.tiny_models import make_bi_encoder, make_cross_encoder

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that name small real models."""
    folder = tmp_path_factory.mktemp("models")
    bi, cross = make_bi_encoder(folder / "bi"), make_cross_encoder(folder / "cross")
    return ["--encoder", str(bi), "--reranker", str(cross)]


@pytest.fixture
def client(cluster: ClusterSettings) -> Iterator[OpenSearch]:
    with connect(cluster) as client:
        yield client


def indexes(client: OpenSearch, alias: str) -> list[str]:
    """All that were built for an alias."""
    return sorted(client.indices.get(index=f"{alias}-*"))


@pytest.fixture
def alias(client: OpenSearch) -> Iterator[str]:
    """A free alias; the indexes that a test builds for it are deleted, each by its name."""
    name = f"test-{uuid.uuid4().hex}"
    yield name
    for index in indexes(client, name):
        client.indices.delete(index=index)


@pytest.fixture
def start(cluster: ClusterSettings, tmp_path: Path) -> Iterator[Start]:
    """Starts the command in `tmp_path`; what still runs after the test is killed."""
    started = []

    def start(*arguments: str, url: str | None = cluster.url) -> subprocess.Popen[str]:
        environ = {key: value for key, value in os.environ.items() if key != "OPENSEARCH_URL"}
        root = str(Path(__file__).parents[2])
        process = subprocess.Popen(
            [sys.executable, "-m", "index_builder", "rebuild", *arguments, "--json"],
            cwd=tmp_path,
            env={**environ, "PYTHONPATH": root, **({"OPENSEARCH_URL": url} if url else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stdout, stderr


def write_shop(folder: Path, count: int = 3) -> str:
    """A catalogue's file name within `folder`."""
    rows = (json.dumps({"_id": str(at), "title": f"product {at}"}) for at in range(count))
    (folder / "shop.jsonl").write_text("".join(f"{row}\n" for row in rows))
    return "shop.jsonl"


def await_progress(process: subprocess.Popen[str], documents: int = 2048) -> None:
    """Returns once that many documents are written."""
    assert process.stderr is not None
    for line in process.stderr:
        told = re.search(r"([\d,]+) documents, ", line)
        if told and int(told[1].replace(",", "")) >= documents:
            return
    pytest.fail(f"ended without progress: {process.wait()}")


def test_a_terminated_command_is_told_by_its_handler_alone() -> None:
    """What SIGTERM did before is restored; within the block it is an interrupt."""
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(Terminated), sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) == before


def standing(client: OpenSearch, alias: str) -> list[str]:
    """The indexes that an alias stands for."""
    return list(client.indices.get_alias(name=alias))


def test_a_build_ends_with_zero_and_one_line_of_json(
    client: OpenSearch, start: Start, models: list[str], alias: str, tmp_path: Path
) -> None:
    """Progress and the report for a person go to stderr."""
    catalogue = write_shop(tmp_path)
    with (tmp_path / catalogue).open("a") as file:
        file.write('{"_id": "cut\n{"_id": "w", "title": "x", "weight": 3, "\\ud800": 1}\n')

    code, stdout, stderr = finish(start(catalogue, "--alias", alias, *models))

    [index] = standing(client, alias)
    assert code == 0, stderr
    [line] = stdout.splitlines()
    report = json.loads(line)
    assert report["numeric_path"].startswith(("native-", "onnxruntime"))
    assert report["path_reason"]
    assert report["index"] == index
    assert (report["documents"], report["rejected"]) == (4, 1)
    assert report["unknown_columns"] == ["weight", "\ud800"]
    assert "4 documents, " in stderr
    assert f"1 rows rejected, with reasons: {index}.rejects.jsonl" in stderr
    assert f"alias {alias} stands for {index}" in stderr
    [reject] = (tmp_path / f"{index}.rejects.jsonl").read_text().splitlines()
    assert json.loads(reject)["line"] == 4


@pytest.fixture
def invoke(
    cluster: ClusterSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Runs the command in this process, in `tmp_path`, for what a process would only slow down."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, url: str = cluster.url) -> Result:
        return CliRunner().invoke(
            app, ["rebuild", *arguments, "--json"], env={"OPENSEARCH_URL": url}
        )

    return invoke


def test_help_names_every_option_and_exit_code(invoke: Callable[..., Result]) -> None:
    """Enough to go on without the source."""
    result = invoke("--help")
    whole = CliRunner().invoke(app, ["--help"])

    assert (result.exit_code, whole.exit_code) == (0, 0)
    options = ["alias", "schema", "encoder", "reranker", "rejects", "vector-engine", "shards"]
    options += ["replicas", "resume", "max-rejects", "duplicates", "changes", "min-recall", "json"]
    for option in options:
        assert f"--{option}" in result.stdout
    for exit_code in (0, 1, 2, 3, 4, 5, 130, 143):
        assert re.search(rf"\b{exit_code}: ", whole.stdout)
    for command in ("rebuild", "update", "apply", "versions", "rollback", "prune", "doctor"):
        assert f" {command} " in whole.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone.jsonl", "--alias", "A"], 2, "index_builder: gone.jsonl: no such file"),
        (["shop.jsonl", "--alias", "Products"], 2, "alias 'Products': 1 to 200 lower-case"),
        (["shop.jsonl"], 2, "Missing option '--alias'"),
        (["shop.jsonl", "--alias", "A", "--shards", "0"], 2, "--shards"),
        (["shop.jsonl", "--alias", "A", "--vector-engine", "nmslib"], 2, "--vector-engine"),
        (["shop.jsonl", "--alias", "A", "--schema", "no.toml"], 2, "no.toml: No such file"),
        (["shop.jsonl", "--alias", "A", "--encoder", "no"], 2, "no: no such folder"),
        (["shop.jsonl", "--alias", "A", "--reranker", "no"], 2, "no: no such folder"),
        (
            ["bad.jsonl", "--alias", "A", "--rejects", "no/r"],
            2,
            "rejects file no/r: no such folder: no",
        ),
        (["empty.jsonl", "--alias", "A"], 3, "empty.jsonl: has no rows"),
        (["bad.jsonl", "--alias", "A"], 3, "bad.jsonl: has no good row; line 1: not JSON"),
    ],
)
def test_a_failed_run_says_what_to_mend(  # noqa: PLR0917  fixtures
    client: OpenSearch,
    invoke: Callable[..., Result],
    models: list[str],
    alias: str,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    """One message, an exit code by kind, nothing on stdout, and no index left."""
    write_shop(tmp_path)
    (tmp_path / "bad.jsonl").write_text("not json\n")
    (tmp_path / "empty.jsonl").write_text("")

    result = invoke(*models, *(alias if item == "A" else item for item in arguments))

    assert (result.exit_code, result.stdout) == (code, ""), result.stderr
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert indexes(client, alias) == []


def test_a_run_without_a_cluster_to_go_to_says_so(
    invoke: Callable[..., Result], models: list[str], tmp_path: Path
) -> None:
    """Not set is to be mended; not there may be tried again."""
    arguments = [write_shop(tmp_path), "--alias", "products", *models]

    unset = invoke(*arguments, url="")
    assert unset.exit_code == 2
    assert unset.stderr.startswith("index_builder: OPENSEARCH_URL is not set")

    gone = invoke(*arguments, url="http://127.0.0.1:9")
    assert gone.exit_code == 4
    assert "the cluster cannot be reached" in gone.stderr


def test_a_truncated_catalogue_is_not_swapped_in(
    client: OpenSearch,
    invoke: Callable[..., Result],
    models: list[str],
    alias: str,
    tmp_path: Path,
) -> None:
    """Half a download is an error at its end, whatever was indexed of it."""
    write_shop(tmp_path, 3000)
    whole = gzip.compress((tmp_path / "shop.jsonl").read_bytes())
    (tmp_path / "shop.jsonl.gz").write_bytes(whole[:-100])

    result = invoke("shop.jsonl.gz", "--alias", alias, *models)

    assert result.exit_code == 2
    assert "shop.jsonl.gz: cannot be read to its end" in result.stderr
    assert indexes(client, alias) == []


def test_a_killed_build_leaves_the_alias_and_the_next_one_works(
    client: OpenSearch,
    start: Start,
    invoke: Callable[..., Result],
    models: list[str],
    alias: str,
    tmp_path: Path,
) -> None:
    """SIGKILL in the middle of writing: searches go on as before."""
    small = write_shop(tmp_path)
    assert invoke(small, "--alias", alias, *models).exit_code == 0
    [live] = standing(client, alias)
    endless = tmp_path / "endless.jsonl"
    os.mkfifo(endless)
    process = start(str(endless), "--alias", alias, *models)
    feeder = threading.Thread(target=feed, args=(endless, 5000))
    feeder.start()

    await_progress(process)  # the end of the catalogue never comes
    process.send_signal(signal.SIGKILL)

    assert process.wait() == -signal.SIGKILL
    feeder.join()
    assert standing(client, alias) == [live]
    assert client.count(index=alias)["count"] == 3
    [unfinished] = [index for index in indexes(client, alias) if index != live]
    assert "_meta" not in client.indices.get_mapping(index=unfinished)[unfinished]["mappings"]
    done = invoke(small, "--alias", alias, *models)
    assert done.exit_code == 0
    assert standing(client, alias) == [json.loads(done.stdout)["index"]]


def feed(pipe: Path, count: int) -> None:
    """Writes rows into a pipe and holds it open until its reader is gone."""
    with pipe.open("w") as file:
        try:
            for at in range(count):
                file.write(json.dumps({"_id": str(at), "title": f"product {at}"}) + "\n")
            file.flush()
            while True:
                file.write("\n" * 4096)
                file.flush()
        except BrokenPipeError:
            # What is buffered for the reader that is gone must not be written on closing.
            os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


@pytest.mark.parametrize(
    ("builds_before", "signal_number", "expected"),
    [(0, signal.SIGINT, 130), (1, signal.SIGTERM, 143)],
)
def test_an_interrupt_ends_in_order_and_leaves_the_alias(  # noqa: PLR0917  fixtures
    client: OpenSearch,
    start: Start,
    invoke: Callable[..., Result],
    models: list[str],
    alias: str,
    tmp_path: Path,
    builds_before: int,
    signal_number: signal.Signals,
    expected: int,
) -> None:
    """Ctrl-C and SIGTERM: a word on what became of the index and how to go on, no traceback."""
    for _ in range(builds_before):
        assert invoke(write_shop(tmp_path), "--alias", alias, *models).exit_code == 0
    before = indexes(client, alias)
    process = start(write_shop(tmp_path, 60_000), "--alias", alias, *models)

    await_progress(process, 3 * 2048)
    process.send_signal(signal_number)
    code, stdout, stderr = finish(process)

    assert (code, stdout) == (expected, "")
    assert re.search(r"has all rows up to [\d,]+; go on with the same command and --resume", stderr)
    assert stderr.splitlines()[-1] == "index_builder: interrupted"
    assert "Traceback" not in stderr
    assert len(indexes(client, alias)) == len(before) + 1
    assert not before or standing(client, alias) == before
