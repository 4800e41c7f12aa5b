"""Building an index beside the usual scripts."""
