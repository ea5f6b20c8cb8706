"""Finished answers by fingerprint: in memory or in Redis through aiocache, with tags and TTL."""
