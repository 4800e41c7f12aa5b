"""What labels pairs: one contract, several kinds."""
