"""Users, passwords, tokens and the keys that sign them; the only service that knows the auth database."""
