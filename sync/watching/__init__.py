"""What is new in a connected account, and what becomes of it."""
