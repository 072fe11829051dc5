"""Account of the requests in progress when a server is told to end under load.

Accepted is a request whose connection was established, and whose last byte was sent, before the server's socket stopped listening. It
must be answered, by whatever status; nobody can expect more, since a client cannot know of a connection that is closed while it sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.serving_judge import Outcome
from benchmarks.serving_open_loop import Course, Fate


def accounts(course: Course) -> dict[str, Any]:
    """Counts of requests that were on their way when the signal came, or came later. Requests whose clients went are left out.

    ``lost_ones`` have a kind, an outcome, and when they were sent and given up, in seconds after the socket was closed.
    """
    assert course.told_at is not None, "the server was told to end"
    assert course.closed_at is not None, "and its socket was watched"
    concerned = [fate for fate in course.fates if fate.ended >= course.told_at and fate.outcome != Outcome.GONE]
    accepted = [fate for fate in concerned if fate.sent is not None and fate.sent <= course.closed_at]
    others = [fate for fate in concerned if fate.sent is None or fate.sent > course.closed_at]
    return {
        "listened_seconds": course.closed_at - course.told_at, "accepted": len(accepted), "answered": _answered(accepted),
        "lost": len(accepted) - _answered(accepted),
        "lost_ones": [
            [fate.kind, fate.outcome.value, round((fate.sent or 0.0) - course.closed_at, 4), round(fate.ended - course.closed_at, 4)]
            for fate in accepted if not fate.outcome.answered
        ],
        "came_later": len(others), "answered_too": _answered(others),
        "refused": len(others) - _answered(others),
        "last_answer_seconds": max((fate.ended for fate in accepted if fate.outcome.answered), default=course.told_at) - course.told_at,
    }  # fmt: skip


def _answered(fates: Sequence[Fate]) -> int:
    return sum(fate.outcome.answered for fate in fates)
