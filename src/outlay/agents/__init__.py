"""Agents say what: a model, instructions, tools, an output type and its checkers, and the turn loop over them."""
