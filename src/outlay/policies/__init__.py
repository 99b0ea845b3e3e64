"""Decisions without side effects: facts and the time go in, a decision comes out."""
