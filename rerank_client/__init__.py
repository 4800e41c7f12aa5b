"""What a search frontend imports to call the sidecar.

::

    with RerankClient("127.0.0.1:50051", timeout_s=0.2) as client:
        ranking = client.rerank("cordless drill", [Document("1", text="Drill, 18 V"), ...])
        for document in ranking.documents: ...
"""

from rerank_client.answers import (
    Embedding,
    Explanation,
    Hit,
    LegRank,
    ModelDescription,
    ModelVersion,
    RankedDocument,
    Ranking,
    Score,
    SearchResult,
)
from rerank_client.asking import Document, Filter, Priority
from rerank_client.channel import SERVICE_CONFIG, Tls
from rerank_client.client import AsyncRerankClient, RerankClient
from rerank_client.errors import (
    AccessError,
    ClientError,
    DeadlineExceededError,
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PreconditionError,
    RetryableError,
    ServerError,
    UnavailableError,
)

__all__ = [
    "SERVICE_CONFIG",
    "AccessError",
    "AsyncRerankClient",
    "ClientError",
    "DeadlineExceededError",
    "Document",
    "Embedding",
    "Explanation",
    "FieldViolation",
    "Filter",
    "Hit",
    "InvalidRequestError",
    "LegRank",
    "ModelDescription",
    "ModelVersion",
    "NotFoundError",
    "OverloadedError",
    "PreconditionError",
    "Priority",
    "RankedDocument",
    "Ranking",
    "RerankClient",
    "RetryableError",
    "Score",
    "SearchResult",
    "ServerError",
    "Tls",
    "UnavailableError",
]
