"""A grid of recipes, and what is claimed of it."""
