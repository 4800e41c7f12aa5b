"""Two builds in one run: is this one slower than that one."""
