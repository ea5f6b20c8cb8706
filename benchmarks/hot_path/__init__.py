"""What the hot path calls: a guard that needs no clock."""
