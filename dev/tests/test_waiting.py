import pytest

from dev.waiting import eventually


def test_the_first_true_value_is_returned() -> None:
    values = iter([0, None, "", "there"])
    assert eventually(lambda: next(values), interval=0) == "there"


def test_a_failed_assertion_means_not_yet() -> None:
    values = iter([1, 2, 3])

    def is_three() -> bool:
        assert next(values) == 3
        return True

    assert eventually(is_three, interval=0)


def test_the_deadline_names_the_last_value() -> None:
    with pytest.raises(AssertionError, match="the last value was 0"):
        eventually(lambda: 0, timeout=0.01, interval=0)


def test_any_other_error_ends_the_wait() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 / 0)
