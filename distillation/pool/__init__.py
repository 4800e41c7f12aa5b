"""Unlabelled pairs mined from real catalogues for real queries."""
