"""Shared ground of sidecar, index builder and distillation: no server and no torch."""
