"""What result files say: comparisons, plots, a page, the README's figures."""
