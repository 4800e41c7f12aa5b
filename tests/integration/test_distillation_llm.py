"""A real LLM as teacher: read in this process, and behind a real OpenAI-compatible server."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from scipy import stats

from distillation.labels.store import LabelStore
from distillation.pipeline.members import ServerTeacher as Settings
from distillation.teachers.contract import Pair
from distillation.teachers.decoder import (
    DecoderHead,
    DecoderTeacher,
    GradeTeacher,
    load_tokenizer,
    locate,
    revision_of,
)
from distillation.teachers.prompt import Prompt
from distillation.teachers.server import ServerTeacher
from rerank_core.errors import ConfigError, ScoringError
from rerank_core.text import ProductTextRecipe

# Building a server from source and reading 135 million weights take minutes.
pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

TEXT = ProductTextRecipe(("title",), query_tokens=16, product_tokens=32)
GRADES = (" No", " Yes")
PROMPT = (
    "Does the product match the search? Answer Yes or No.\n"
    "Search: {query}\nProduct: {product}\nAnswer:"
)
PAIRS = [
    Pair("oak shelf", "Solid oak wall shelf, 80 cm"),
    Pair("oak shelf", "Garden hose, 20 m, green"),
    Pair("cordless drill", "18 V cordless drill with two batteries"),
    Pair("cordless drill", "Bath towel, white"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The URL of llama-cpp-python's server on SmolLM2.

    LLAMA_PYTHON names an interpreter that has it; else it is built into a fresh environment.
    """
    python = os.environ.get("LLAMA_PYTHON") or _build(tmp_path_factory.mktemp("llama"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [python, "-m", "llama_cpp.server", "--model", str(locate("smollm2")), "--port", str(port),
         "--host", "127.0.0.1", "--n_ctx", "512", "--logits_all", "true", "--verbose", "false"],
    )  # fmt: skip
    try:
        _wait(f"http://127.0.0.1:{port}/v1/models", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _build(folder: Path) -> str:
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    python = str(folder / "bin" / "python")
    wanted = "llama-cpp-python[server]==0.3.36"
    # Built for the very processor, it died of an illegal instruction on one with AMX.
    portable = os.environ | {"CMAKE_ARGS": "-DGGML_NATIVE=OFF"}
    command = [*uv, "pip", "install", "-q", "--no-cache", "--python", python, wanted]
    subprocess.run(command, check=True, env=portable)
    return python


def _wait(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            httpx.get(url, timeout=5).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError("the server did not answer in 300 s")


def _settings(url, **changes):
    values = {"top_logprobs": 50, "concurrency": 2, "revision": revision_of("smollm2")} | changes
    return Settings("server", TEXT, url, "smollm2", PROMPT, GRADES, **values)


def test_a_server_and_the_model_in_this_process_say_the_same(server, tmp_path):
    """Log-odds of Yes over No from both, the same order; a match is likelier than a stranger.

    Equal to the last digit they are not: the server computes on 4-bit weights, we on what those
    are in floating point.
    """
    torch.set_num_threads(1)
    teacher = ServerTeacher(_settings(server))
    theirs = teacher.score(PAIRS)
    assert theirs.missed.sum() == 0
    assert theirs.probabilities.sum(1) == pytest.approx(np.ones(4), abs=1e-5)
    prompt = Prompt(PROMPT, TEXT, GRADES)
    ours = GradeTeacher("smollm2", prompt, GRADES, revision_of("smollm2")).score(PAIRS)
    assert stats.pearsonr(ours.logits, theirs.logits).statistic > 0.9
    for logits in (ours.logits, theirs.logits):
        assert logits[0] > logits[1]
        assert logits[2] > logits[3]
    LabelStore(tmp_path).append(teacher.identity, PAIRS, theirs)
    assert len(LabelStore(tmp_path).read()) == 4


def test_rows_are_the_tokens_of_the_text_that_a_server_gets():
    """Cut into parts and put together again, no word is other tokens than in the whole."""
    tokenizer, prompt = load_tokenizer("smollm2"), Prompt(PROMPT, TEXT, GRADES)
    rows = prompt.rows(tokenizer, PAIRS)
    for number, pair in enumerate(PAIRS):
        whole = tokenizer(prompt.text(pair, (16, 32)), add_special_tokens=False)["input_ids"]
        assert rows.ids[rows.offsets[number] : rows.offsets[number + 1]].tolist() == whole


def test_grades_that_the_server_does_not_tell_are_counted_and_bounded(server):
    """With one log-probability told, at least one of two grades is missing each time."""
    found = ServerTeacher(_settings(server, top_logprobs=1)).score(PAIRS)
    assert found.missed.min() >= 1
    assert found.tokens > 4 * 20
    nothing = ServerTeacher(
        Settings("server", TEXT, server, "smollm2", PROMPT, ("zebra", "quux"), "r", top_logprobs=5)
    )
    assert np.isnan(nothing.score(PAIRS[:1]).logits).all()
    told = np.isfinite(found.logits)
    assert (found.missed[~told] == 2).all()
    assert (abs(found.logits[told]) < 13).all()


def test_a_server_that_is_not_there_is_named():
    """And so is a key that is not set."""
    with pytest.raises(ScoringError, match=r"127\.0\.0\.1:9/v1"):
        ServerTeacher(_settings("http://127.0.0.1:9/v1", timeout_s=1.0)).score(PAIRS[:1])
    with pytest.raises(ConfigError, match="NO_SUCH_KEY: is not set"):
        ServerTeacher(_settings("http://127.0.0.1:9/v1", api_key_env="NO_SUCH_KEY"))


def test_a_gguf_becomes_a_decoder_with_a_head():
    """Thirty layers of real weights; a score a pair, and the same for the same pair."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    head = DecoderHead("smollm2", classes=1)
    assert head.depth == 30
    prompt = Prompt(PROMPT, TEXT)
    teacher = DecoderTeacher(head, load_tokenizer("smollm2"), prompt, "fresh")
    scores = teacher.score([*PAIRS, PAIRS[0]]).logits
    assert np.isfinite(scores).all()
    assert len(set(scores[:4].tolist())) == 4
    assert scores[4] == pytest.approx(scores[0], abs=0.05)
