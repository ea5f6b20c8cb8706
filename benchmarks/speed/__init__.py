"""How fast the service is beside others: one fake upstream, one load, one core for each of us."""
