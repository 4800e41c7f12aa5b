"""The HTTP surface, for clients that speak Cohere's, Jina's or TEI's rerank."""
