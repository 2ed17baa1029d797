"""A synthetic day of payments in a small town; the same seed makes the same day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final

from api.cli.importing.rows import Account, Payment, Row

CURRENCY: Final = "EUR"
SHOPS: Final = ("bakery", "butcher", "cafe", "cinema", "grocer", "pharmacy", "pub", "tailor")
EMPLOYERS: Final = ("harbour", "mill", "school")
NAMES: Final = (
    "ada", "bela", "carl", "dora", "emil", "fia", "gus", "hedda", "ida", "jan", "kaja", "leo",
    "mira", "nils", "olga", "per", "quentin", "rosa", "sven", "tilda", "ulf", "vera", "wim", "yara",
)  # fmt: skip
_BY_CODE: Final = ("qr", "barcode", "nfc", "sonic")
_BY_ORDER: Final = ("qr", "link")


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What somebody pays for by phone."""

    payer: str
    shop: str
    amount_minor: int
    reference: str
    shows_code: bool
    """Whether the payer shows a code; else the shop shows an order."""
    carrier: str


@dataclass(frozen=True, slots=True)
class Town:
    """Who lives there, and what they do all day."""

    run: str
    """Part of every id and key, so that each day is a new one on the same ledger."""
    seed: int
    people: int
    purchases: int
    today: date

    @property
    def prefix(self) -> str:
        return f"demo:{self.run}:"

    def person(self, number: int) -> str:
        name = NAMES[number % len(NAMES)]
        return f"{self.prefix}people:{name}{number // len(NAMES) or ''}"

    @property
    def frozen(self) -> str:
        """Whose account is frozen before the shops open."""
        return self.person(self.people - 1)

    def accounts(self) -> Iterator[Row]:
        """The central bank may overdraw without limit; everyone else has what they have."""
        yield self._row(
            Account(
                id=self._in_town("bank"),
                currency=CURRENCY,
                normal_side="debit",
                overdraft_limit=None,
            )
        )
        for name in ("landlord", *(f"shops:{shop}" for shop in SHOPS), *self._employers()):
            yield self._row(Account(id=self._in_town(name), currency=CURRENCY))
        for number in range(self.people):
            yield self._row(Account(id=self.person(number), currency=CURRENCY))

    def morning(self) -> Iterator[Row]:
        """Employers are funded; salaries come in, value-dated yesterday; rent goes out."""
        random = Random(f"{self.seed}-morning")  # noqa: S311 (a demonstration)
        yesterday = (self.today - timedelta(days=1)).isoformat()
        for employer in self._employers():
            yield self._pays(f"fund-{employer}", "bank", employer, 150_000 * self.people, "funding")
        for number in range(self.people):
            employer = random.choice(list(self._employers()))
            salary = random.randrange(120_000, 400_000)
            yield self._pays(
                f"salary-{number}", employer, self._of(number), salary, "salary", date=yesterday
            )
        for number in range(self.people):
            rent = random.randrange(60_000, 150_000)
            yield self._pays(f"rent-{number}", self._of(number), "landlord", rent, "rent")

    def day(self) -> Iterator[Row]:
        """People shop and pay each other; some spend more than they have."""
        random = Random(f"{self.seed}-day")  # noqa: S311 (a demonstration)
        for number in range(self.purchases - self._by_phone):
            payer, payee = map(self._of, random.sample(range(self.people), 2))
            if random.random() < 0.7:
                shop, price = random.choice(SHOPS), _price(random)
                yield self._pays(f"buy-{number}", payer, f"shops:{shop}", price, f"{shop}-{number}")
            else:
                amount = int(random.lognormvariate(7.8, 1.6))
                yield self._pays(f"give-{number}", payer, payee, max(amount, 100), "between us")

    def evening(self) -> Iterator[Purchase]:
        """The rest of the purchases: people go out, and pay by phone."""
        random = Random(f"{self.seed}-evening")  # noqa: S311 (a demonstration)
        for number in range(self._by_phone):
            shop, shows_code = random.choice(SHOPS), random.random() < 0.6
            yield Purchase(
                payer=self.person(random.randrange(self.people)),
                shop=self._in_town(f"shops:{shop}"),
                amount_minor=_price(random),
                reference=f"{shop}-evening-{number}",
                shows_code=shows_code,
                carrier=random.choice(_BY_CODE if shows_code else _BY_ORDER),
            )

    @property
    def _by_phone(self) -> int:
        return -(-self.purchases // 10)

    def _employers(self) -> Iterator[str]:
        return (f"work:{name}" for name in EMPLOYERS)

    def _of(self, number: int) -> str:
        return self.person(number).removeprefix(self.prefix)

    def _in_town(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def _pays(
        self,
        key: str,
        debit: str,
        credit: str,
        amount_minor: int,
        reference: str,
        *,
        date: str | None = None,
    ) -> Row:
        return self._row(
            Payment(
                key=f"demo-{self.run}-{key}",
                debit=self._in_town(debit),
                credit=self._in_town(credit),
                amount_minor=amount_minor,
                currency=CURRENCY,
                reference=reference,
                value_date=date,
            )
        )

    def _row(self, step: Account | Payment) -> Row:
        return Row(line=0, steps=(step,))


def _price(random: Random) -> int:
    return max(int(random.lognormvariate(7.0, 0.9)), 100)
