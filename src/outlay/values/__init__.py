"""Frozen values: what the rest of Outlay passes around. No I/O, no event loop, no clock."""
