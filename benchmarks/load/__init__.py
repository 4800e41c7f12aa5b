"""Load on a running sidecar: who asks when, from a process of its own, and what it says."""
