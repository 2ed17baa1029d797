"""Where the sums are longer than what a balance may be."""

from typing import Any

from tests.fixtures.fix_ledger import Client
from tests.property.model import Model
from tests.property.strategies import MOST


def test_balances_leave_the_64_bit_range_for_both_alike(clients: tuple[Client, Client]) -> None:
    """Rare by chance: it takes more than a thousand of the largest amounts."""
    model = Model()
    client = clients[0]

    def send(key: str, request: tuple[Any, ...]) -> Any:
        expected = model.send(key, request)
        assert client.send(key, 0, request) == expected
        return expected

    for name in ("low", "high"):
        send(name, ("open", name, "EUR", "credit", None, None))
    many = (("low", "high", MOST, "EUR"),) * 100
    outcomes = [send(f"many-{number}", ("pay", many, {})) for number in range(11)]
    assert outcomes[-1] == ("refused", "balance_overflow")
    for number, hold in enumerate(({}, {"hold_s": 9}, {}, {"hold_s": 9})):
        part = 10 + 12 * (number > 1)
        outcomes.append(send(f"some-{number}", ("pay", many[:part], hold)))
    assert [outcome[0] for outcome in outcomes[11:]] == ["ok", "ok", "refused", "refused"]
