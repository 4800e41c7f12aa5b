"""`python -m index_builder`: a catalogue in, a searchable index out."""

from __future__ import annotations

from index_builder.commands import app

if __name__ == "__main__":
    app(prog_name="python -m index_builder")
