"""Who follows the topic together with others is known to be behind by what waits."""

from infrastructure.kafka.shared_topic import NOTHING, Follower, News
from projections.feed import START, Progress


def test_a_progress_without_records_waits_too() -> None:
    """Of partitions without records nothing else may come for long: it must not pile up unseen."""
    follower = Follower([3])
    news = News({}, Progress(START, dict.fromkeys(range(12), 0)))
    for _ in range(5):
        follower.give(news)
    assert follower.waiting == 5
    while follower.take(0) != NOTHING:
        pass
    assert follower.waiting == 0
