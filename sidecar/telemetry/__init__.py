"""What is told of the calls: a log line, metrics, a span."""
