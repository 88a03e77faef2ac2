"""How many lines of a kind reach the log, decided without a clock."""

from __future__ import annotations

from engine.log_limit import LINES, MOST_KINDS, SECONDS, LogLimit


def test_the_first_lines_of_a_kind_pass_and_the_rest_of_the_while_is_left_out() -> None:
    limit = LogLimit()
    taken = [limit.take("Dropping", 100.0) for _ in range(LINES + 3)]
    assert taken == [0] * LINES + [None] * 3


def test_the_next_while_begins_with_how_many_were_left_out() -> None:
    limit = LogLimit()
    for _ in range(LINES + 3):
        limit.take("Dropping", 100.0)
    assert limit.take("Dropping", 100.0 + SECONDS - 0.1) is None
    assert [limit.take("Dropping", 100.0 + SECONDS) for _ in range(2)] == [4, 0]


def test_kinds_do_not_share_a_budget() -> None:
    limit = LogLimit()
    for _ in range(LINES + 1):
        limit.take("Dropping", 100.0)
    assert limit.take("Error processing packet", 100.0) == 0


def test_a_stranger_who_makes_up_kinds_does_not_fill_the_memory() -> None:
    limit = LogLimit()
    for number in range(3 * MOST_KINDS):
        assert limit.take(f"kind {number}", 100.0) == 0
    assert len(limit._budgets) <= MOST_KINDS
