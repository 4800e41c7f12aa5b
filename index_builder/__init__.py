"""Writes catalogues into k-NN indexes: read, encode, write, verify, swap."""
