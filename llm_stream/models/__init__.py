"""Any `llm` model as one async iterator of chunks."""
