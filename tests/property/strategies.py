"""What the machine draws from."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

MOST = 9_007_199_254_740_991
NAMES = ("a", "b", "c", "d")
CURRENCIES = ("EUR", "EUR", "EUR", "EUR", "EUR", "USD")
MICROSECOND = timedelta(microseconds=1)
# Small, so that limits are met to the cent; the largest, so that sums get long.
fixed = st.one_of(st.integers(1, 5), st.integers(1, 5), st.just(MOST))
found = st.one_of(st.just("all"), st.tuples(st.just("up_to"), st.integers(1, 6)))
amounts = st.one_of(fixed, fixed, fixed, found)
beyond = st.one_of(st.none(), st.integers(-3, 1), st.just(1))
bounds = st.one_of(st.none(), st.integers(0, 6), st.just(0))
names = st.sampled_from((*NAMES, "a", "b", "a", "b", "nobody", "gone", "cold"))
currencies = st.sampled_from(CURRENCIES)
postings = st.lists(
    st.tuples(names, names, amounts, currencies), min_size=1, max_size=3
).map(tuple)  # fmt: skip
keys = st.one_of(st.integers(0, 1_000_000), st.integers(0, 9))
writers = st.integers(0, 1)
picks = st.integers(0, 1_000)
carriers = st.sampled_from(("api", "qr"))
conditions = st.lists(
    st.one_of(
        st.tuples(
            names,
            st.sampled_from(("posted", "available")),
            st.sampled_from(("eq", "gt", "gte", "lt", "lte")),
            st.one_of(st.integers(-3, 9), st.just(-(10**30))),
        ),
        st.tuples(names, st.just("version"), st.just("eq"), st.integers(1, 5)),
    ),
    min_size=1,
    max_size=2,
).map(tuple)
terms = st.fixed_dictionaries({}, optional={"carrier": carriers, "conditions": conditions})
holds_s = st.sampled_from((1, 2, 3_600, 7_200, 2_592_000))
limits = st.lists(
    st.tuples(
        st.sampled_from(("hour", "day", "month")),
        st.one_of(st.none(), carriers),
        st.one_of(st.none(), st.integers(0, 3)),
        st.one_of(st.none(), st.integers(0, 9)),
    ),
    max_size=2,
    unique_by=lambda limit: limit[:2],
).map(tuple)
low_limits = st.tuples(
    st.sampled_from(("hour", "day")),
    st.none(),
    st.one_of(st.none(), st.integers(1, 2)),
    st.one_of(st.none(), st.integers(2, 6)),
)
pairs = st.permutations(NAMES)
jumps = st.sampled_from(
    (
        MICROSECOND,
        timedelta(seconds=1),
        timedelta(seconds=1) - MICROSECOND,
        timedelta(hours=1),
        timedelta(days=1),
        timedelta(days=20),
        -MICROSECOND,
        -timedelta(seconds=2),
        -timedelta(days=2),
    )
)
