"""OpenSearch's own rerank processor calls the sidecar; nothing is installed on the cluster."""

from index_builder.pipelines.check import check_pipelines
from index_builder.pipelines.push import KEY, Pushed, push_pipeline
from index_builder.pipelines.stock import StockRerank

__all__ = ["KEY", "Pushed", "StockRerank", "check_pipelines", "push_pipeline"]
