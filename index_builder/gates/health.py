"""All copies of the index are there, as far as there are nodes for them."""

from __future__ import annotations

from opensearchpy import OpenSearch

from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.release import GateRecord
from rerank_core.errors import ClusterTimeout


def health_gate(client: OpenSearch, index: str, replicas: int, wait_s: float) -> GateRecord:
    """Green where there are nodes for every copy, else yellow: primaries are there.

    Waits for copies that are being made, `wait_s` at most. Raises `ClusterError`.
    """
    doing = f"asking for the health of {index}"
    with cluster_errors(doing):
        nodes = int(client.cluster.health()["number_of_data_nodes"])
    wanted = "green" if nodes > replicas else "yellow"
    try:
        with cluster_errors(f"waiting for {index} to be {wanted}"):
            client.cluster.health(
                index=index,
                params={"wait_for_status": wanted, "timeout": f"{wait_s * 1000:.0f}ms"},
                request_timeout=wait_s + 10,
            )
    except ClusterTimeout:
        pass  # it is said below how far it came
    with cluster_errors(doing):
        answer = client.cluster.health(index=index)
    status, active = answer["status"], int(answer["active_shards"])
    # Not the cluster's own percentage, which is of all its indexes.
    share = 100 * active / (active + answer["initializing_shards"] + answer["unassigned_shards"])
    detail = f"{status}, {active} shards active"
    if status not in ("green", wanted):
        why = _why_missing(client, index)
        return GateRecord(
            "health", "failed", share, None, f"{detail} after {wait_s:g} s, wanted {wanted}; {why}"
        )
    if wanted != "green":
        detail += f"; {nodes} data node(s) cannot hold {replicas} replicas"
    return GateRecord("health", "passed", share, None, detail)


def _why_missing(client: OpenSearch, index: str) -> str:
    """Of the first copy that is not there, in the cluster's words."""
    doing = f"asking why copies of {index} are missing"
    with cluster_errors(doing):
        shards = client.cat.shards(
            index=index, params={"format": "json", "h": "shard,prirep,state"}
        )
    for shard in shards:
        if shard["state"] == "UNASSIGNED":
            body = {
                "index": index,
                "shard": int(shard["shard"]),
                "primary": shard["prirep"] == "p",
            }
            with cluster_errors(doing):
                said = client.cluster.allocation_explain(body=body)
            name = "primary" if body["primary"] else "replica"
            words = said.get("allocate_explanation", "")
            reasons = [
                decider["explanation"]
                for node in said.get("node_allocation_decisions", ())
                for decider in node.get("deciders", ())
                if decider["decision"] == "NO"
            ]
            return f"the {name} of shard {body['shard']}: {'; '.join([words, *reasons[:1]])}"
    return "copies are still being made"
