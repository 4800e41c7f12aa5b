"""What came out, as pages with plots."""
