"""Models are swapped while requests are answered: each by one model, none degraded, none lost."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest

from rerank_core.artifact import open_artifact, seal_artifact
from rerank_core.engine import Engine, load_cross_encoder
from rerank_core.text import ProductTextRecipe
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.sidecar_process import PATIENCE_S, running
from tests.tiny_models import make_cross_encoder

RECIPE = ProductTextRecipe(fields=("title",))
STAYED = (
    "models stay: those that the settings name were rolled back; change the settings, or roll back "
    "once more to serve them again"
)
WORDS = ("cordless", "drill", "oak", "chair", "steel", "bit", "case", "18V", "blue", "lamp")


def _request(number):
    documents = [
        pb.Document(
            id=str(n), text=" ".join(WORDS[(number * 7 + n * step) % 10] for step in (1, 3))
        )
        for n in range(10)
    ]
    return pb.RerankRequest(query=WORDS[number % 10], documents=documents)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two sealed models of other weights."""
    root = tmp_path_factory.mktemp("swaps")
    made = []
    for name, seed in (("one", 1), ("two", 2)):
        folder = make_cross_encoder(root / name, seed=seed)
        seal_artifact(folder, name=name, kind="cross-encoder", recipe=RECIPE)
        made.append(folder)
    return made


@dataclass
class Load:
    """Callers that ask until they are told to stop; what they asked and got."""

    target: str
    done: threading.Event = field(default_factory=threading.Event)
    answers: list[tuple[int, pb.RerankResponse]] = field(default_factory=list)
    errors: list[grpc.RpcError] = field(default_factory=list)

    def run(self, first):
        """One caller."""
        with grpc.insecure_channel(self.target) as channel:
            stub = pb_grpc.RerankServiceStub(channel)
            number = first
            while not self.done.is_set():
                number += 4
                try:
                    self.answers.append((number, stub.Rerank(_request(number), timeout=PATIENCE_S)))
                except grpc.RpcError as error:
                    self.errors.append(error)


def _check(answers, folders):
    """Every answer's scores are those of the model and path that it names, bit for bit."""
    models = {}
    for folder in folders:
        model = load_cross_encoder(open_artifact(folder))
        models[model.hash] = model
    expected: dict[tuple[str, int], dict[int, float]] = {}
    with Engine(workers=1) as engine:
        for number, answer in answers:
            key = (answer.model.hash, number % 10)
            if key not in expected:
                request = _request(number)
                texts = [item.text for item in request.documents]
                expected[key] = dict(engine.submit(models[answer.model.hash], request.query, texts))
            assert answer.scored == 10
            assert list(answer.degraded) == []
            assert answer.model.numeric_path == models[answer.model.hash].numeric_path
            got = {item.index: item.rerank.logit for item in answer.documents}
            assert {at: np.float32(logit) for at, logit in got.items()} == {
                at: np.float32(logit) for at, logit in expected[key].items()
            }
    return {hashed for hashed, _ in expected}


def _swap_under_load(folders, tmp_path, enough, swaps):
    config = tmp_path / "sidecar.toml"

    def choose(folder):
        config.write_text(f'default_budget_ms = 60_000\n[models]\nreranker = "{folder}"\n')

    choose(folders[0])
    with (
        running(tmp_path / "run", "--config", config) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        admin = pb_grpc.AdminServiceStub(channel)
        load = Load(sidecar.target)
        threads = [threading.Thread(target=load.run, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        swap = 0
        while swap < swaps or len(load.answers) < enough:
            swap += 1
            choose(folders[swap % 2])
            answer = admin.Reload(pb.ReloadRequest(), timeout=PATIENCE_S)
            assert list(answer.changed) == ["models"]
            assert sidecar.alive()
        load.done.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert load.errors == []
        assert len(load.answers) >= enough
        assert len(_check(load.answers, folders)) == 2
        assert sidecar.logged("bug") == []
        assert sidecar.stop() == 0
    return len(load.answers)


def test_swaps_under_load(folders, tmp_path):
    """Six swaps, four callers: no error, nothing degraded, every score the named model's."""
    _swap_under_load(folders, tmp_path, enough=500, swaps=6)


@pytest.mark.long
def test_ten_thousand_requests_through_swaps(folders, tmp_path):
    """As above, for as long as it takes."""
    assert _swap_under_load(folders, tmp_path, enough=10_000, swaps=50) >= 10_000


def _version(channel):
    return (
        pb_grpc.ModelServiceStub(channel)
        .ModelInfo(pb.ModelInfoRequest(), timeout=PATIENCE_S)
        .version
    )


def _break(folder: Path, way: str) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    if way == "flipped":
        content[-1] ^= 1
    if way == "cut off":
        del content[len(content) // 2 :]
    if way == "pickle":
        weights.rename(folder / "pytorch_model.bin")
        return
    weights.write_bytes(content)


@pytest.mark.parametrize(
    ("way", "reason"),
    [("flipped", "sha256"), ("cut off", "sha256"), ("pickle", "pickled weights")],
)
def test_a_corrupt_model_is_refused_and_the_old_one_serves_on(folders, tmp_path, way, reason):
    """The reason goes to the caller and the log; checksums and file kinds are looked at."""
    served, broken = tmp_path / "served", tmp_path / "broken"
    shutil.copytree(folders[0], served)
    shutil.copytree(folders[1], broken)
    _break(broken, way)
    config = tmp_path / "sidecar.toml"
    config.write_text(f'[models]\nreranker = "{served}"\n')
    with (
        running(tmp_path / "run", "--config", config) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        before = _version(channel)
        config.write_text(f'[models]\nreranker = "{broken}"\n')
        with pytest.raises(grpc.RpcError) as caught:
            pb_grpc.AdminServiceStub(channel).Reload(pb.ReloadRequest(), timeout=PATIENCE_S)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert reason in caught.value.details()
        assert reason in sidecar.wait_logged("reload refused")[0]["error"]
        assert _version(channel) == before
        stub = pb_grpc.RerankServiceStub(channel)
        assert stub.Rerank(_request(1), timeout=PATIENCE_S).model == before


def test_a_swap_is_rolled_back_and_forth(folders, tmp_path):
    """From memory: the folder of the old model may be gone. Before a swap there is nothing."""
    old = tmp_path / "old"
    shutil.copytree(folders[0], old)
    config = tmp_path / "sidecar.toml"
    config.write_text(f'[models]\nreranker = "{old}"\n')
    with (
        running(tmp_path / "run", "--config", config) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        admin = pb_grpc.AdminServiceStub(channel)
        first = _version(channel)
        with pytest.raises(grpc.RpcError, match="no swap"):
            admin.Rollback(pb.RollbackRequest(), timeout=PATIENCE_S)
        config.write_text(f'[models]\nreranker = "{folders[1]}"\n')
        second = admin.Reload(pb.ReloadRequest(), timeout=PATIENCE_S).models[0]
        assert second == _version(channel) != first
        shutil.rmtree(old)
        assert admin.Rollback(pb.RollbackRequest(), timeout=PATIENCE_S).models[0] == first
        assert _version(channel) == first
        stub = pb_grpc.RerankServiceStub(channel)
        assert stub.Rerank(_request(1), timeout=PATIENCE_S).model == first
        # The settings still name what was rolled back: a reload of keys must not bring it again.
        stayed = admin.Reload(pb.ReloadRequest(), timeout=PATIENCE_S)
        assert (list(stayed.changed), stayed.models[0]) == ([], first)
        assert "rolled back" in sidecar.wait_logged(STAYED)[0]["event"]
        assert admin.Rollback(pb.RollbackRequest(), timeout=PATIENCE_S).models[0] == second
        assert sidecar.wait_logged("rolled back")[0]["level"] == "warning"


def test_what_was_rolled_back_comes_again_when_the_settings_are_changed_to_it(folders, tmp_path):
    """From B back to A; settings that name A end that, and settings that then name B bring B."""
    config = tmp_path / "sidecar.toml"
    _many(config, folders[0])
    with (
        running(tmp_path / "run", "--config", config) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        admin = pb_grpc.AdminServiceStub(channel)
        first = _version(channel)
        _many(config, folders[1])
        second = admin.Reload(pb.ReloadRequest(), timeout=PATIENCE_S).models[0]
        admin.Rollback(pb.RollbackRequest(), timeout=PATIENCE_S)
        for folder, changed, served in ((0, [], first), (1, ["models"], second)):
            _many(config, folders[folder])
            answer = admin.Reload(pb.ReloadRequest(), timeout=PATIENCE_S)
            assert (list(answer.changed), answer.models[0]) == (changed, served)
            assert _version(channel) == served


def _many(config: Path, reranker: Path, *others: Path) -> None:
    listed = ", ".join(f'"{folder}"' for folder in others)
    config.write_text(f'[models]\nreranker = "{reranker}"\nother_rerankers = [{listed}]\n')


def test_several_cross_encoders_are_asked_by_name(folders, tmp_path):
    """Each answers for itself, on both surfaces; the first one where none is named."""
    one, two = folders
    config = tmp_path / "sidecar.toml"
    _many(config, one, two)
    answers = []
    with (
        running(tmp_path / "run", "--config", config, http=True) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        stub = pb_grpc.RerankServiceStub(channel)
        for name in ("", "one", "two"):
            request = _request(1)
            request.model = name
            answer = stub.Rerank(request, timeout=PATIENCE_S)
            assert answer.model.id == (name or "one")
            answers.append((1, answer))
            texts = [document.text for document in request.documents]
            body = {"query": request.query, "documents": texts, "model": name}
            over_http = httpx.post(f"{sidecar.url}/v1/rerank", json=body)
            assert over_http.headers["x-rerank-model"] == answer.model.hash
            assert over_http.json()["model"] == answer.model.id
        models = pb_grpc.ModelServiceStub(channel)
        for name in ("one", "two"):
            info = models.ModelInfo(pb.ModelInfoRequest(model=name), timeout=PATIENCE_S)
            assert list(info.loaded) == ["one", "two"]
            assert info.is_default == (name == "one")
        with pytest.raises(
            grpc.RpcError, match="no cross-encoder named 'three'; there is: one, two"
        ):
            stub.Rerank(pb.RerankRequest(query="q", model="three", documents=_request(1).documents))
        page = httpx.get(f"{sidecar.url}/metrics").text
        assert page.count('kind="cross-encoder"') == 2
    assert len(_check(answers, folders)) == 2


def test_one_of_several_cross_encoders_is_swapped_and_rolled_back(folders, tmp_path):
    """The other is not loaded again; one that is broken leaves both as they are."""
    one, two = folders
    named = {}
    for seed, version in ((2, "v1"), (3, "v2")):
        named[version] = make_cross_encoder(tmp_path / version / "wide", seed=seed)
        seal_artifact(named[version], name=version, kind="cross-encoder", recipe=RECIPE)
    config = tmp_path / "sidecar.toml"
    _many(config, one, named["v1"])
    with (
        running(tmp_path / "run", "--config", config) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        admin = pb_grpc.AdminServiceStub(channel)

        def served():
            """Names and hashes, as answers of both tell them."""
            found = []
            for name in ("one", "wide"):
                request = _request(2)
                request.model = name
                answer = pb_grpc.RerankServiceStub(channel).Rerank(request, timeout=PATIENCE_S)
                assert (answer.scored, list(answer.degraded)) == (10, [])
                found.append((answer.model.id, answer.model.hash))
            return found

        first = served()
        _many(config, one, named["v2"])
        answer = admin.Reload(pb.ReloadRequest(), timeout=PATIENCE_S)
        assert list(answer.changed) == ["models"]
        second = served()
        assert [(model.id, model.hash) for model in answer.models] == second
        assert second[0] == first[0]
        assert second[1][1] != first[1][1]
        _break(named["v1"], "flipped")
        _many(config, two, named["v1"])
        with pytest.raises(grpc.RpcError, match="sha256"):
            admin.Reload(pb.ReloadRequest(), timeout=PATIENCE_S)
        assert served() == second
        back = admin.Rollback(pb.RollbackRequest(), timeout=PATIENCE_S)
        assert [(model.id, model.hash) for model in back.models] == first == served()


def test_the_default_cross_encoder_changes_among_those_that_are_loaded(folders, tmp_path):
    """A reload that only changes which one is meant where none is named is a swap, too."""
    one, two = folders
    config = tmp_path / "sidecar.toml"
    _many(config, one, two)
    with (
        running(tmp_path / "run", "--config", config) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        admin = pb_grpc.AdminServiceStub(channel)
        assert _version(channel).id == "one"
        _many(config, two, one)
        admin.Reload(pb.ReloadRequest(), timeout=PATIENCE_S)
        assert _version(channel).id == "two"
        admin.Rollback(pb.RollbackRequest(), timeout=PATIENCE_S)
        assert _version(channel).id == "one"
