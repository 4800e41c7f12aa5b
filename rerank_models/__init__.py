"""Models that ship with the distribution."""
