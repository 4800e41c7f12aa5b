"""Writes items to the cluster: in flight together, asked again where that helps, none lost."""

from index_builder.sending.budget import Patience, RetryBudget
from index_builder.sending.items import Batch, Item, Refusal
from index_builder.sending.limits import SendLimits
from index_builder.sending.sender import Sender, Sent

__all__ = [
    "Batch",
    "Item",
    "Patience",
    "Refusal",
    "RetryBudget",
    "SendLimits",
    "Sender",
    "Sent",
]
