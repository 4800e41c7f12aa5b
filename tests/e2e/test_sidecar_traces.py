"""Spans at a real OTLP receiver: they join the caller's trace, a child a stage."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.sidecar_process import PATIENCE_S, running
from tests.tiny_models import make_cross_encoder

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
REQUEST = pb.RerankRequest(query="drill", documents=[pb.Document(id="a", text="cordless drill")])


class Receiver(otlp_grpc.TraceServiceServicer):
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        self.spans = []
        self._lock = threading.Lock()

    def Export(self, request, context):  # noqa: ARG002, N802  the protocol's
        """See OTLP."""
        with self._lock:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        return otlp.ExportTraceServiceResponse()


@pytest.fixture
def receiver():
    kept = Receiver()
    server = grpc.server(ThreadPoolExecutor(2))
    otlp_grpc.add_TraceServiceServicer_to_server(kept, server)
    kept.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield kept
    server.stop(None).wait()


def test_spans_join_the_callers_trace(receiver, tmp_path):
    """On both surfaces, with the stages as children; a call that is not sampled sends nothing."""
    cross = make_cross_encoder(tmp_path / "cross")
    flags = ["--models.reranker", cross, "--telemetry.sample-ratio", 0]
    flags += ["--telemetry.otlp-endpoint", f"http://127.0.0.1:{receiver.port}"]
    with running(tmp_path / "run", *flags, http=True) as sidecar:
        with grpc.insecure_channel(sidecar.target) as channel:
            stub = pb_grpc.RerankServiceStub(channel)
            sampled = [("traceparent", f"00-{TRACE}-{PARENT}-01")]
            stub.Rerank(REQUEST, timeout=PATIENCE_S, metadata=sampled)
            stub.Rerank(REQUEST, timeout=PATIENCE_S)
        body = {"query": "drill", "documents": ["oak chair"]}
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        httpx.post(f"{sidecar.url}/v2/rerank", json=body, headers=headers, timeout=PATIENCE_S)
        logged = sidecar.wait_logged("call", count=3)
        assert sidecar.stop() == 0  # sends what is left
    assert [line.get("trace_id") for line in logged] == [TRACE, None, TRACE]
    assert {span.trace_id.hex() for span in receiver.spans} == {TRACE}
    roots = {span.name: span for span in receiver.spans if span.parent_span_id.hex() == PARENT}
    assert set(roots) == {"Rerank", "Cohere"}
    for root in roots.values():
        children = [span for span in receiver.spans if span.parent_span_id == root.span_id]
        assert {"validate", "queue", "tokenize", "score", "order"} <= {
            child.name for child in children
        }
        for child in children:
            assert child.start_time_unix_nano <= child.end_time_unix_nano
            assert child.end_time_unix_nano <= root.end_time_unix_nano + 1_000_000
    facts = {item.key: item.value for item in roots["Rerank"].attributes}
    assert facts["rerank.scored"].int_value == 1
    assert facts["rpc.grpc.status"].string_value == "OK"
    assert not any("drill" in str(span) for span in receiver.spans)
