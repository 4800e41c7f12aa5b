"""The HTTP surface, for clients that speak Cohere's, Jina's or TEI's rerank."""

from sidecar.http.app import http_app
from sidecar.http.listener import http_listening

__all__ = ["http_app", "http_listening"]
