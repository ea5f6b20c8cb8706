"""Who may do what: client keys, tickets, limits."""
