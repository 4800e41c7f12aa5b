"""Workloads: what is asked for, in which order and rhythm, as files that can be replayed."""
