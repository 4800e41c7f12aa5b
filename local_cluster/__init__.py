"""A real search cluster on this machine, started and stopped; how its processes are kept."""

from local_cluster.keeper import start_kept, stop_kept
from local_cluster.node import LocalCluster, use_or_start
from local_cluster.progress import Say, Ticker

__all__ = ["LocalCluster", "Say", "Ticker", "start_kept", "stop_kept", "use_or_start"]
