"""Choosing how the legs of a search are fused."""
