"""Measures the scoring engine."""
