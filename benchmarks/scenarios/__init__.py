"""Questions that are asked of a real sidecar, a file each."""
