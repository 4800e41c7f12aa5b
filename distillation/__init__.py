"""Makes the student: from graded labels to a published artifact."""
