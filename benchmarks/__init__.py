"""Measures quality and latency on real parts."""
