"""A made-up shop and the walk-through of the whole funnel."""
