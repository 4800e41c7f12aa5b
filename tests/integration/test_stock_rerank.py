"""OpenSearch 2.19.1's own rerank processor, and a real sidecar that it calls.

Nothing stands in for either: the pipeline is pushed by the command's own code.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
import pytest

from index_builder.doctor import examine
from index_builder.pipelines import StockRerank, check_pipelines, ml, push_pipeline
from index_builder.pipelines.settings import TRUSTED, read_settings
from local_cluster import LocalCluster
from local_cluster.distribution import OPENSEARCH_2
from rerank_client import PreconditionError
from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ClusterError, ConfigError, ReleaseError
from sidecar.security.keys import new_key
from tests.e2e.test_search import PRODUCTS as CATALOGUE
from tests.e2e.test_search import Shop, serving
from tests.fault_proxy import Fault, FaultProxy
from tests.sidecar_process import PATIENCE_S, running
from tests.tiny_models import make_bi_encoder, make_cross_encoder

INDEX = "shop-1"
PRODUCTS = {
    "drill": "cordless drill 18V",
    "bit": 'drill bit 1/2" \\ "steel"',
    "chair": "oak chair\nwith ${parameters.query} arms",
    "lamp": "desk lamp \U0001f4a1 ${x} for a drill press",
    "saw": "circular saw, drill free",
}
HOSTILE = 'drill ${parameters.query} ${x} "quoted" \\ {brace} \n \U0001f600 ${'
_MAPPING = {
    "title": {"type": "text"},
    "rerank_text": {"type": "keyword", "index": False, "doc_values": False},
}


@dataclass(frozen=True)
class Stack:
    """A cluster with an index, and what searches and asks it."""

    client: object
    url: str

    def search(
        self, typed: str, pipeline: str | None = "rerank", **body
    ) -> list[tuple[str, float]]:
        """(id, score), best first; the lexical order where there is no pipeline."""
        asked = {"size": 10, "query": {"match_all": {}}, **body}
        if pipeline:
            asked["ext"] = {"rerank": {"query_context": {"query_text": typed}}}
        params = {"search_pipeline": pipeline} if pipeline else {}
        answer = self.client.search(index=INDEX, body=asked, params=params)
        return [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]

    def first_stage(self) -> list[str]:
        """The order without a rerank."""
        return [key for key, _ in self.search("", None)]


@pytest.fixture(scope="module")
def stack():
    with (
        LocalCluster.start(distribution=OPENSEARCH_2) as node,
        connect(replace(node.settings, timeout_s=60)) as client,
    ):
        client.indices.create(index=INDEX, body={"mappings": {"properties": _MAPPING}})
        for key, text in PRODUCTS.items():
            client.index(index=INDEX, id=key, body={"title": text, "rerank_text": text})
        client.indices.refresh(index=INDEX)
        client.indices.put_alias(index=INDEX, name="shop")
        yield Stack(client, node.url)


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return make_cross_encoder(tmp_path_factory.mktemp("stock") / "cross")


@pytest.fixture(scope="module")
def sidecar(cross, tmp_path_factory):
    with running(
        tmp_path_factory.mktemp("run"),
        "--models.reranker",
        cross,
        "--http.request-s",
        60,
        http=True,
    ) as started:
        yield started


@pytest.fixture
def push(stack, sidecar):
    """Pushes the pipeline, with changes."""

    def pushed(**changes):
        untried = changes.pop("untried", False)
        alias = changes.pop("alias", None)
        # On a busy machine a rerank may take longer than the second that searches usually wait.
        usual = {"name": "rerank", "sidecar": sidecar.url, "read_timeout_s": 30}
        stock = StockRerank(**{**usual, **changes})
        return push_pipeline(stack.client, stock, alias=alias, private=True, untried=untried)

    return pushed


def _scored(sidecar, query: str, keys: list[str]) -> list[tuple[str, float]]:
    """What the sidecar says of these products when it is asked directly."""
    body = {"query": query, "documents": [PRODUCTS[key] for key in keys]}
    answer = httpx.post(f"{sidecar.url}/v2/rerank", json=body, timeout=PATIENCE_S).json()
    return [(keys[one["index"]], one["relevance_score"]) for one in answer["results"]]


@contextmanager
def _stopped(sidecar):
    """Accepts connections and answers nothing: as slow as a sidecar can be."""
    sidecar.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        sidecar.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("query", ["drill", HOSTILE], ids=["plain", "hostile"])
def test_a_search_is_in_the_sidecars_order(stack, push, sidecar, query):
    """With its scores to six decimals; ``${`` in a query or a product is text like any other."""
    push()
    expected = _scored(sidecar, query, stack.first_stage())
    found = stack.search(query)
    assert [key for key, _ in found] == [key for key, _ in expected]
    assert [score for _, score in found] == pytest.approx(
        [score for _, score in expected], abs=1e-6
    )
    assert [key for key, _ in found] != stack.first_stage()


def test_a_hybrid_query_is_fused_and_then_reranked(stack, push, sidecar):
    """In one pipeline."""
    legs = [{"match": {"title": "drill"}}, {"match": {"title": "lamp"}}]
    push(name="hybrid", fusion="rrf")
    found = stack.search("drill", "hybrid", query={"hybrid": {"queries": legs}})
    assert sorted(key for key, _ in found) == ["bit", "drill", "lamp", "saw"]
    assert dict(found) == pytest.approx(dict(_scored(sidecar, "drill", [key for key, _ in found])))


def test_what_is_there_is_not_touched(stack, push):
    """The second push changes nothing, however often."""
    push()
    assert push().changed == ()
    assert push().changed == ()


def test_a_change_is_tried_beside_the_old_one_which_then_goes(stack, push):
    """Searches go on meanwhile, and of each name there is one."""
    push()
    done, failures, searches = threading.Event(), [], 0

    def search_on():
        nonlocal searches
        while not done.is_set():
            try:
                assert len(stack.search("drill")) == len(PRODUCTS)
            except Exception as error:  # noqa: BLE001  whatever it is, a search failed
                failures.append(error)
            searches += 1

    thread = threading.Thread(target=search_on)
    thread.start()
    changed = push(read_timeout_s=31)
    done.set()
    thread.join()
    assert failures == []
    assert searches > 0
    assert "pipeline rerank" in changed.changed
    [model] = ml.models(stack.client, "rerank")
    assert (model.name, model.is_deployed) == (changed.model, True)
    assert list(ml.connectors(stack.client, "rerank").values()) == [changed.model]


def test_a_model_that_another_pipeline_names_stays(stack, push):
    """With its connector, and it is said; it goes once nobody reranks by it."""
    push(read_timeout_s=30)
    client = stack.client
    [old] = ml.models(client, "rerank")
    body = client.transport.perform_request("GET", "/_search/pipeline/rerank")["rerank"]
    client.transport.perform_request("PUT", "/_search/pipeline/theirs", body=body)
    try:
        for _ in range(2):
            pushed = push(read_timeout_s=32)
            assert pushed.kept == (f"kept model {old.name} {old.id}: by it reranks theirs",)
            assert pushed.kept[0] in pushed.lines()
        assert len(stack.search("drill", "theirs")) == len(PRODUCTS)
        assert old.id in {model.id for model in ml.models(client, "rerank")}
    finally:
        client.transport.perform_request("DELETE", "/_search/pipeline/theirs")
    pushed = push(read_timeout_s=32)
    assert f"removed model {old.name} {old.id}" in pushed.changed
    assert pushed.kept == ()
    assert len(ml.connectors(client, "rerank")) == 1


def test_a_sidecar_that_does_not_answer_leaves_the_pipeline_as_it_is(stack, push, sidecar):
    """Unless it is said that it is not there yet; then searches are in first-stage order."""
    push()
    before = stack.client.transport.perform_request("GET", "/_search/pipeline/rerank")
    failed = push(sidecar="http://127.0.0.1:9")
    assert "Connection refused" in failed.fault
    assert "was not touched" in failed.lines()[-1]
    assert stack.client.transport.perform_request("GET", "/_search/pipeline/rerank") == before
    assert push(sidecar="http://127.0.0.1:9", untried=True).fault == ""
    assert [key for key, _ in stack.search("drill")] == stack.first_stage()


def _on_the_cluster(client) -> set[str]:
    """Ids of the models and connectors of pushes."""
    return {model.id for model in ml.models(client, "rerank")} | {*ml.connectors(client, "rerank")}


@contextmanager
def _refusing(stack, *refused: tuple[str, str]):
    """The same cluster, which answers 503 to these: a method, and a part of a path."""

    def choose(request, _):
        planted = any(request.method == method and part in request.path for method, part in refused)
        return Fault(status=503) if planted else None

    with FaultProxy(stack.url, choose).running() as proxy:
        settings = ClusterSettings(proxy.url, timeout_s=60)
        with connect(settings) as client:
            yield Stack(client, proxy.url)


def test_a_sidecar_that_does_not_answer_leaves_nothing_untried_behind(stack, push):
    """The connector and the model of that push are removed again, and it says so."""
    push()
    before = _on_the_cluster(stack.client)
    failed = push(sidecar="http://127.0.0.1:9")
    assert [line.split()[:2] for line in failed.changed if not line.startswith("setting")] == [
        ["connector", failed.model],
        ["model", failed.model],
        ["removed", "model"],
        ["removed", "connector"],
    ]
    assert _on_the_cluster(stack.client) == before


@pytest.mark.parametrize("failing", ["/models/_register", "/_deploy"])
def test_a_push_that_ends_midway_takes_back_what_it_made(stack, push, sidecar, failing):
    """Whatever was made by then: the connector, or the model too."""
    push()
    before = _on_the_cluster(stack.client)
    changed = StockRerank("rerank", sidecar.url, read_timeout_s=29)
    with _refusing(stack, ("POST", failing)) as busy, pytest.raises(ClusterError) as failed:
        push_pipeline(busy.client, changed, private=True)
    assert failed.value.__notes__[-1].startswith(f"removed connector {changed.versioned_name}")
    assert _on_the_cluster(stack.client) == before


def test_what_cannot_be_taken_back_is_named_and_the_next_push_goes_on_from_it(stack, push, sidecar):
    """The very same model and connector then, and nothing is left of the old ones."""
    push()
    before = _on_the_cluster(stack.client)
    changed = StockRerank("rerank", sidecar.url, read_timeout_s=28)
    refused = (("POST", "/_deploy"), ("DELETE", "/models/"))
    with _refusing(stack, *refused) as busy, pytest.raises(ClusterError) as failed:
        push_pipeline(busy.client, changed, private=True)
    left = _on_the_cluster(stack.client) - before
    [note] = failed.value.__notes__
    assert note.startswith("left on the cluster, where the next push goes on from it: model ")
    assert len(left) == 2
    assert all(key in note for key in left)
    assert push(read_timeout_s=28).fault == ""
    assert _on_the_cluster(stack.client) == left


def test_a_pipeline_that_may_have_moved_keeps_its_new_model(stack, push, sidecar):
    """A lost answer to the PUT: what was made stays, is named, and the next push uses it."""
    push()
    before = _on_the_cluster(stack.client)
    changed = StockRerank("rerank", sidecar.url, read_timeout_s=27)
    with (
        _refusing(stack, ("PUT", "/_search/pipeline/")) as busy,
        pytest.raises(ClusterError) as failed,
    ):
        push_pipeline(busy.client, changed, private=True)
    left = _on_the_cluster(stack.client) - before
    [note] = failed.value.__notes__
    assert len(left) == 2
    assert all(key in note for key in left)
    again = push(read_timeout_s=27)
    assert "pipeline rerank" in again.changed
    assert not [line for line in again.changed if line.startswith(("model", "connector"))]
    assert _on_the_cluster(stack.client) == left


def test_ctrl_c_amid_a_deploy_takes_back_what_was_made(stack, push, sidecar):
    """Exit code 130, and what went is said."""
    push()
    before = _on_the_cluster(stack.client)
    waiting = threading.Event()

    def choose(request, _):
        if request.method == "GET" and "/tasks/" in request.path:
            waiting.set()
            return Fault(delay_s=PATIENCE_S)
        return None

    with FaultProxy(stack.url, choose).running() as proxy:
        words = ["pipelines", "push", "--sidecar", sidecar.url, "--read-timeout-s", "26"]
        with subprocess.Popen(
            [sys.executable, "-m", "index_builder", *words],
            env=os.environ | {"OPENSEARCH_URL": proxy.url},
            stderr=subprocess.PIPE,
            text=True,
        ) as pushing:
            assert waiting.wait(PATIENCE_S)
            pushing.send_signal(signal.SIGINT)
            _, said = pushing.communicate(timeout=PATIENCE_S)
    assert pushing.returncode == 130
    assert said.splitlines()[0] == "index_builder: interrupted"
    assert said.splitlines()[-1].startswith("removed connector rerank@")
    assert _on_the_cluster(stack.client) == before


def test_a_slow_sidecar_costs_the_read_timeout_and_no_more(stack, push, sidecar):
    """It never answers, and the search does; once it answers again, it reranks again."""
    push()
    push(read_timeout_s=1, untried=True)
    with _stopped(sidecar):
        assert [key for key, _ in stack.search("drill")] == stack.first_stage()
    push()
    assert [key for key, _ in stack.search("drill")] != stack.first_stage()


def test_a_key_over_its_quota_is_429_and_the_search_goes_on(stack, push, cross, tmp_path):
    """The key comes from the caller's environment and goes to the sidecar; nobody reads it back."""
    key, line = new_key("cluster")
    (tmp_path / "keys.toml").write_text(line + "tokens_per_s = 0.001\nburst_tokens = 1\n")
    flags = ["--models.reranker", cross, "--keys-file", tmp_path / "keys.toml"]
    with running(tmp_path / "run", *flags, http=True) as guarded:
        assert "RERANK_API_KEY" in push(sidecar=guarded.url).fault
        assert push(sidecar=guarded.url, key=key).fault == ""  # in debt from now on
        assert [name for name, _ in stack.search("drill")] == stack.first_stage()
        guarded.wait_logged("call", status="RESOURCE_EXHAUSTED")
    [model] = [one for one in ml.models(stack.client, "rerank") if one.is_deployed]
    assert key not in json.dumps(ml.get_connector(stack.client, model.connector_id))


def test_doctor_names_what_is_missing_and_the_mend(stack, push):
    """No pipeline; one whose model is gone; one that is stopped; one that is well."""
    client = stack.client
    push()  # one to list at least: of none the cluster says 404
    for name in client.transport.perform_request("GET", "/_search/pipeline"):
        client.transport.perform_request("DELETE", f"/_search/pipeline/{name}")
    [(level, _, detail)] = check_pipelines(client)
    assert (level, "pipelines push" in detail) == ("advice", True)
    push()
    [(level, _, detail)] = check_pipelines(client)
    assert (level, "reranks by rerank@" in detail) == ("good", True)
    assert ("good", "pipeline rerank") in [
        (found.level, found.about) for found in examine(client, "shop", None)
    ]
    [model] = ml.models(client, "rerank")
    ml.remove_model(client, model)
    [(level, _, detail)] = check_pipelines(client)
    assert (level, f"its model {model.id} is gone" in detail) == ("fault", True)
    assert [key for key, _ in stack.search("drill")] == stack.first_stage()
    assert f"model {model.name}" in push().changed
    [(level, _, _)] = check_pipelines(client)
    assert level == "good"


def test_a_pipeline_of_somebody_elses_is_judged_too(stack, push):
    """Without ignore_failure a sidecar that is down ends searches; several fields run together."""
    push()
    client = stack.client
    [model] = ml.models(client, "rerank")
    processor = {
        "ml_opensearch": {"model_id": model.id},
        "context": {"document_fields": ["a", "b"]},
    }
    body = {"response_processors": [{"rerank": processor}]}
    client.transport.perform_request("PUT", "/_search/pipeline/theirs", body=body)
    try:
        found = [
            (level, detail) for level, about, detail in check_pipelines(client) if "theirs" in about
        ]
    finally:
        client.transport.perform_request("DELETE", "/_search/pipeline/theirs")
    assert [level for level, _ in found] == ["fault", "advice", "good"]
    assert "ignore_failure" in found[0][1]
    assert "one" in found[1][1]


_FUSED = """
[profiles.{method}]
alias = "{alias}"
page_size = 50
depth = 50
legs = {{ lexical = 1.0, vector = 1.0 }}
fusion = "{method}"
native_fusion = "{native}"
facets.brand = {{ field = "brand.keyword" }}
"""


def test_search_lets_the_cluster_fuse_and_says_what_brings_a_lost_pipeline_back(
    stack, cross, tmp_path
):
    """Both methods, in the very order of the sidecar's own fusion.

    Without the pipeline: FAILED_PRECONDITION, which names the command; it is run as it is printed.
    """
    settings = ClusterSettings(stack.url, timeout_s=60)
    shop = Shop(settings, "fused", cross, make_bi_encoder(tmp_path / "bi"), tmp_path)
    index = shop.build("fused")
    try:
        with _fusing(shop, tmp_path / "own", "never") as client:
            own = {method: _order(client, method, "own") for method in ("rrf", "minmax")}
        with _fusing(shop, tmp_path / "native", "auto") as client:
            for method, order in own.items():
                assert _order(client, method, "native") == order
            first = client.search("rrf", "drill", page_size=2, facets=["brand"])
            second = client.search(
                "rrf", "drill", facets=["brand"], page_token=first.next_page_token
            )
            # Both legs' matches, as the fusion counted them: the lexical leg alone has three.
            assert second.facets == first.facets
            assert sum(first.facets["brand"].values()) > 3
            path = "/_search/pipeline/rerank-sidecar-rrf"
            stack.client.transport.perform_request("DELETE", path)
            with pytest.raises(PreconditionError, match="rerank-sidecar-rrf") as lost:
                client.search("rrf", "cordless drill")
            assert [
                found.detail
                for found in examine(stack.client, "fused", None)
                if "rerank-sidecar-rrf" in found.detail and found.level == "fault"
            ] != []
            words = str(lost.value).partition("python -m index_builder ")[2].split()
            mended = _command(stack, *words)
            assert mended.stdout.splitlines() == ["put back rerank-sidecar-rrf"]
            assert _order(client, "rrf", "native") == own["rrf"]
    finally:
        shop.delete(index)


def test_a_cluster_that_refuses_to_fuse_is_not_asked_again_and_the_sidecar_fuses(
    stack, cross, tmp_path
):
    """As Elasticsearch does without its licence: 403 of the native call, and no search is lost."""
    shop = Shop(
        ClusterSettings(stack.url, timeout_s=60),
        "unlicensed",
        cross,
        make_bi_encoder(tmp_path / "bi"),
        tmp_path,
    )
    index = shop.build("unlicensed")

    def choose(request, _):
        return Fault(status=403) if "search_pipeline=" in request.path else None

    try:
        with (
            FaultProxy(stack.url, choose).running() as proxy,
            _fusing(shop, tmp_path / "run", "auto", url=proxy.url) as client,
        ):
            for _ in range(2):
                found = client.search("rrf", "cordless drill", explain=True)
                assert found.plan.fusion.startswith("own rrf: opensearch 2.19.1 refuses to fuse: ")
                assert "403" in found.plan.fusion
                assert found.degraded == ()
                assert len(found.hits) == len(CATALOGUE)
            assert proxy.faults == 1
    finally:
        shop.delete(index)


def _fusing(shop, folder, native: str, url: str = ""):
    profiles = (
        _FUSED.format(method=method, alias=shop.alias, native=native)
        for method in ("rrf", "minmax")
    )
    return serving(shop, folder, url=url, extra="".join(profiles))


def _order(client, method: str, who: str) -> list[tuple[str, int]]:
    """Every product with its rank after the fusion, by whom it should be."""
    found = client.search(method, "cordless drill", explain=True)
    assert found.plan.fusion.startswith(f"{who} {method}: ")
    assert found.degraded == ()
    assert len(found.hits) == len(CATALOGUE)
    fused = [(hit.id, hit.explanation.places[0].rank) for hit in found.hits]
    return sorted(fused, key=lambda at: at[1])


def test_other_endpoints_stay_trusted(stack, push):
    """The sidecar's is added, and once."""
    other = "^https://models.example/.*$"
    trusted = read_settings(stack.client).get(TRUSTED, [])
    body = {"persistent": {TRUSTED: [*trusted, other]}}
    stack.client.cluster.put_settings(body=body)
    push()
    push()
    patterns = read_settings(stack.client)[TRUSTED]
    assert other in patterns
    assert len(patterns) == len(set(patterns))


def test_an_alias_that_cannot_be_reranked_is_named(stack, push):
    """None of that name; an index without the field."""
    with pytest.raises(ReleaseError, match=r"no alias 'nowhere'.*rebuild CATALOGUE"):
        push(alias="nowhere")
    with pytest.raises(ReleaseError, match=r"index shop-1: has no field 'body'"):
        push(alias="shop", text_field="body")
    assert push(alias="shop").fault == ""


def test_a_cluster_without_the_plugins_is_told_so(cluster):
    """With what it can do instead."""
    with connect(cluster) as client:
        with pytest.raises(ConfigError, match=r"lacks opensearch-ml.*ask the sidecar's Search"):
            push_pipeline(client, StockRerank("rerank", "http://127.0.0.1:9"))
        assert list(check_pipelines(client)) == []


def test_the_commands_as_a_search_team_types_them(stack, sidecar):
    """Exit codes 0, 0 with nothing changed, 5 where the sidecar is not there, 2 for the alias.

    4 where the cluster fails midway, and what was taken back is said.
    """
    push = ["pipelines", "push", "--name", "typed", "--sidecar"]
    first = _command(stack, *push, sidecar.url, "--alias", "shop", "--read-timeout-s", "30")
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1].startswith("pipeline typed reranks by typed@")
    again = _command(
        stack, *push, sidecar.url, "--alias", "shop", "--read-timeout-s", "30", "--json"
    )
    assert json.loads(again.stdout)["changed"] == []
    absent = _command(stack, *push, "http://127.0.0.1:9")
    assert (absent.returncode, "was not touched" in absent.stdout) == (5, True)
    with _refusing(stack, ("POST", "/_deploy")) as busy:
        midway = _command(busy, *push, sidecar.url, "--read-timeout-s", "29")
    assert (midway.returncode, "deploying model typed@" in midway.stderr) == (4, True)
    assert midway.stderr.splitlines()[-1].startswith("removed connector typed@")
    wrong = _command(stack, *push, sidecar.url, "--alias", "nowhere")
    assert (wrong.returncode, "no alias 'nowhere'" in wrong.stderr) == (2, True)
    doctor = _command(stack, "doctor", "--alias", "shop")
    assert doctor.returncode == 5  # the index is not of the builder's making
    assert "good  pipeline typed: reranks by typed@" in doctor.stdout


def _command(stack, *words) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "index_builder", *words]
    environ = os.environ | {"OPENSEARCH_URL": stack.url}
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
