from projections.feed import key_of
from tests.fixtures.fix_events import History


def test_a_record_is_keyed_by_its_account_or_its_payment() -> None:
    history = History().open("alice", "bob").freeze("bob").unfreeze("bob")
    payment = history.pay(("alice", "bob", 1))
    keys = [record.key for record in history.records()]
    assert keys == [*["alice"] * 2, *["bob"] * 6, str(payment), "alice", "bob"]
    assert keys == [key_of(event) for event in history.events]


def test_a_payment_request_is_keyed_by_its_id_and_its_commands_by_the_account() -> None:
    history = History().open("alice", "bob")
    request = history.request("bob", 1)
    payment = history.pay_request(request, "alice")
    keys = [record.key for record in history.records(after=4)]
    assert keys == [str(request), "bob", str(payment), "alice", "bob", str(request)]


def test_an_event_keeps_its_id_wherever_it_comes_from() -> None:
    history = History().open("alice")
    record = history.records()[0]
    assert record.event_id == f"{history.events[0].originator_id}:1"
