"""Our own wires to providers: `llm` models on one pooled HTTP client, without the vendors' SDKs.

What they cost beside those is in docs/performance.md, what they speak in docs/providers.md.
"""
