"""How a behaviour ends early."""


class Absent(Exception):
    """The broker doesn't offer this, and says so."""


class Failed(Exception):
    """Something wasn't as it has to be."""


class Late(Failed):
    """Something that was waited for didn't come."""


class Ended(Failed):
    """The connection ended where something else was to come."""


def check(condition, what):
    if not condition:
        raise Failed(what)


def same(got, wanted, what):
    check(got == wanted, f"{what} {got} instead of {wanted}")
