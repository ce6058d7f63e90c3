"""The one exception that a person caused and a person can mend: bad file, bad key, bad flag."""


class InputError(ValueError):
    """One line for people: what is wrong, in which file or key, and what to do. Commands exit with code 2 on it."""
