"""Every finished run in llm's own log database, and the durable second level of the cache."""
