"""The tables of `outlay advise`: values, and pure functions over them. docs/advice.md is drawn from them."""
