"""A real search cluster on this machine, started and stopped."""

from local_cluster.node import LocalCluster, use_or_start

__all__ = ["LocalCluster", "use_or_start"]
