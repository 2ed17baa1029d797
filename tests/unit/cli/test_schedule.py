"""What shares a lane is done in the order it came; what does not, waits for nobody."""

from hypothesis import given
from hypothesis import strategies as st

from api.cli.importing.schedule import Schedule, Ticket


class Desk:
    """Takes what is ready, and says in which order it was."""

    def __init__(self) -> None:
        self.tickets: list[Ticket[str]] = []
        self.schedule: Schedule[str] = Schedule(self.tickets.append)

    @property
    def ready(self) -> list[str]:
        return [ticket.work for ticket in self.tickets]

    def finish(self, work: str) -> None:
        ticket = next(ticket for ticket in self.tickets if ticket.work == work)
        self.tickets.remove(ticket)
        self.schedule.done(ticket)


def test_work_in_different_lanes_is_ready_at_once() -> None:
    desk = Desk()
    desk.schedule.add("first", lanes=["alice", "bob"])
    desk.schedule.add("second", lanes=["carol", "dan"])
    assert desk.ready == ["first", "second"]


def test_work_in_the_same_lane_waits_for_the_one_before() -> None:
    desk = Desk()
    desk.schedule.add("first", lanes=["alice"])
    desk.schedule.add("second", lanes=["alice"])
    desk.schedule.add("third", lanes=["alice"])
    assert desk.ready == ["first"]
    desk.finish("first")
    assert desk.ready == ["second"]
    desk.finish("second")
    assert desk.ready == ["third"]


def test_work_in_two_lanes_waits_for_both() -> None:
    desk = Desk()
    desk.schedule.add("alice's", lanes=["alice"])
    desk.schedule.add("bob's", lanes=["bob"])
    desk.schedule.add("both's", lanes=["alice", "bob"])
    desk.finish("bob's")
    assert desk.ready == ["alice's"]
    desk.finish("alice's")
    assert desk.ready == ["both's"]


def test_work_that_only_comes_after_a_lane_holds_nobody_up() -> None:
    desk = Desk()
    desk.schedule.add("open the cash desk", lanes=["cash"])
    desk.schedule.add("one", lanes=["alice"], after=["cash"])
    desk.schedule.add("two", lanes=["bob"], after=["cash"])
    assert desk.ready == ["open the cash desk"]
    desk.finish("open the cash desk")
    assert desk.ready == ["one", "two"]


def test_a_lane_that_is_done_is_forgotten() -> None:
    desk = Desk()
    desk.schedule.add("first", lanes=["alice"])
    desk.finish("first")
    desk.schedule.add("second", lanes=["alice"])
    assert desk.ready == ["second"]


@given(
    st.lists(st.sets(st.sampled_from("abcde"), min_size=1, max_size=3), max_size=30),
    st.randoms(use_true_random=False),
)
def test_any_work_is_done_once_and_in_the_order_of_each_of_its_lanes(lanes, random) -> None:  # type: ignore[no-untyped-def]
    ready: list[Ticket[int]] = []
    schedule: Schedule[int] = Schedule(ready.append)
    for number, names in enumerate(lanes):
        schedule.add(number, lanes=names)
    done: list[int] = []
    while ready:
        ticket = ready.pop(random.randrange(len(ready)))
        done.append(ticket.work)
        schedule.done(ticket)
    assert sorted(done) == list(range(len(lanes)))
    for lane in "abcde":
        in_lane = [number for number in done if lane in lanes[number]]
        assert in_lane == sorted(in_lane)
