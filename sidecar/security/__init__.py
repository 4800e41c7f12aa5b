"""Who calls, and over which certificates."""
