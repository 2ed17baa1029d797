"""Why a carrier is not written or read, other than that nothing readable is there."""


class TooLarge(Exception):
    """More seconds or pixels than are decoded. The message says what to do."""


class CarrierUnavailable(Exception):
    """The library of this carrier isn't installed."""
