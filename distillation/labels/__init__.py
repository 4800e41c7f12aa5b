"""The store of teachers' answers, and the work of filling it."""
