"""What a fresh index must show before the alias moves to it."""

from index_builder.gates.bounds import GateBounds
from index_builder.gates.verify import Subject, verify

__all__ = ["GateBounds", "Subject", "verify"]
