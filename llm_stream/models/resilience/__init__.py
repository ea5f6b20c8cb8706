"""What is done about models that fail: whom to ask next, when, and when not to ask."""
