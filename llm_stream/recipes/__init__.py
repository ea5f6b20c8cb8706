"""Use cases: a frozen spec in, an async iterator of payloads out."""
