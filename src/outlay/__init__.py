"""Multi-agent LLM workflows that know what they cost."""
