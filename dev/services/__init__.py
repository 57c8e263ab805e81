"""Real servers for tests and development, private to whoever starts them."""

# Where tests look for a server that is already there; unset, they start their own.
VARIABLES = {
    "rabbitmq": "SPOOL_TEST_RABBITMQ_URL",
    "mongo": "SPOOL_TEST_MONGODB_URL",
    "mariadb": "SPOOL_TEST_MYSQL_URL",
}
