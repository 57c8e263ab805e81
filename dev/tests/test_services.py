"""The private servers come up, die, freeze and come back on the same port with the same data."""

from collections.abc import Callable

import pika
import pytest
from pymongo import MongoClient
from sqlalchemy import create_engine, text

pytestmark = pytest.mark.servers


def test_each_database_is_empty_and_speaks_utf8mb4(new_database: Callable[[], str]) -> None:
    first, second = create_engine(new_database()), create_engine(new_database())
    with first.begin() as connection:
        connection.execute(text("CREATE TABLE words (word VARCHAR(20))"))
        connection.execute(text("INSERT INTO words VALUES ('🎞 Spule')"))
    with first.connect() as connection, second.connect() as other:
        assert connection.scalar(text("SELECT word FROM words")) == "🎞 Spule"
        assert other.scalars(text("SHOW TABLES")).all() == []
    first.dispose()
    second.dispose()


def test_each_mongo_database_is_empty(new_mongo: Callable[[], str]) -> None:
    with MongoClient(new_mongo()) as one, MongoClient(new_mongo()) as other:
        one.get_default_database().words.insert_one({"word": "Spule"})
        assert one.get_default_database().words.count_documents({}) == 1
        assert other.get_default_database().list_collection_names() == []


def test_each_virtual_host_is_empty(new_virtual_host: Callable[[], str]) -> None:
    first, second = (pika.BlockingConnection(pika.URLParameters(new_virtual_host())) for _ in range(2))
    first.channel().queue_declare("words", durable=True, arguments={"x-queue-type": "quorum"})
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
        second.channel().queue_declare("words", passive=True)
    first.close()
    second.close()
