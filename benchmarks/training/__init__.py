"""Our training loop beside sentence-transformers' trainer."""
