"""The recipe and its stages, in order."""
