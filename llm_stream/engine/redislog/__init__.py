"""Logs of runs on Redis Streams, shared by replicas: owners append, followers read."""
