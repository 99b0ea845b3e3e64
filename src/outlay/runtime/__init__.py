"""The only shell: the path of a call, the run loop, budgets in force, models and stores by name."""
