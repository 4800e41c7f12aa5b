"""The server: wire to types, admission, deadlines, order; scoring is the engine's."""
