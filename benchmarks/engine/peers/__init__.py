"""Other rerankers on the same weights and texts, each in an environment of its own.

One file a peer. Each says what it needs (`REQUIREMENTS`), in which settings it runs (`SETTINGS`:
the defaults, and what its documentation says is fastest on a CPU), and how it is loaded (`load`).
These files import nothing of ours: they run where only their own packages are.
"""
