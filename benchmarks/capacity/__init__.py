"""How many cores a load needs, from what was measured."""
