"""Choosing how texts become terms, and how fields are matched."""
