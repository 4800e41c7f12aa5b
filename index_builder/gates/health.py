"""All copies of the index are there, as far as there are nodes for them."""

from __future__ import annotations

from opensearchpy import OpenSearch

from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.release import GateRecord
from rerank_core.errors import ClusterTimeout

_WAIT_S = 600


def health_gate(client: OpenSearch, index: str, replicas: int) -> GateRecord:
    """Green where there are nodes for every copy, else yellow: primaries are there.

    Waits for copies that are being made. Raises `ClusterError`.
    """
    with cluster_errors(f"asking for the health of {index}"):
        nodes = int(client.cluster.health()["number_of_data_nodes"])
    wanted = "green" if nodes > replicas else "yellow"
    try:
        with cluster_errors(f"waiting for {index} to be {wanted}"):
            answer = client.cluster.health(
                index=index,
                params={"wait_for_status": wanted, "timeout": f"{_WAIT_S}s"},
                request_timeout=_WAIT_S + 10,
            )
    except ClusterTimeout as error:
        return GateRecord("health", "failed", None, None, str(error))
    status, active = answer["status"], float(answer["active_shards_percent_as_number"])
    good = status in ("green", wanted)
    unplaced = (
        "" if wanted == "green" else f"; {nodes} data node(s) cannot hold {replicas} replicas"
    )
    detail = f"{status}, {answer['active_shards']} shards active{unplaced}"
    return GateRecord("health", "passed" if good else "failed", active, None, detail)
