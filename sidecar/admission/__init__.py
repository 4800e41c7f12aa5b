"""Who is let in, in which order, and who is told at once that it would be too late."""
