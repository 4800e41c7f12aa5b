"""A node started here is the real thing."""

from __future__ import annotations

from rerank_core.cluster.connection import connect


def test_the_node_has_what_the_project_builds_on(cluster, index_name):
    """k-NN with a filter, stored mustache templates, and no index by accident."""
    with connect(cluster) as client:
        assert "opensearch-knn" in client.cat.plugins()
        client.indices.create(
            index=index_name,
            body={
                "settings": {"index.knn": True},
                "mappings": {
                    "properties": {
                        "vector": {
                            "type": "knn_vector",
                            "dimension": 2,
                            "method": {
                                "name": "hnsw",
                                "engine": "lucene",
                                "space_type": "cosinesimil",
                            },
                        },
                        "color": {"type": "keyword"},
                    },
                },
            },
        )
        for name, vector, color in [
            ("near", [1, 0.1], "red"),
            ("nearest", [1, 0], "blue"),
            ("far", [0, 1], "red"),
        ]:
            client.index(index=index_name, id=name, body={"vector": vector, "color": color})
        client.indices.refresh(index=index_name)
        template = (
            '{"query": {"knn": {"vector": {"vector": {{#toJson}}v{{/toJson}}, "k": 2,'
            ' "filter": {"term": {"color": "{{color}}"}}}}}}'
        )
        found = client.search_template(
            index=index_name,
            body={"source": template, "params": {"v": [1, 0], "color": "red"}},
        )
    assert [hit["_id"] for hit in found["hits"]["hits"]] == ["near", "far"]
