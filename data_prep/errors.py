"""The error that a user's input can cause."""


class InputError(Exception):
    """Bad input: the message is one line that names the file (or argument) and the fault.

    Every command catches it, prints the line on stderr and exits with code 2.
    """


class NotApplicableError(InputError):
    """Settings leave an exhibit nothing to show: `experiments.run` leaves it out and runs the others."""
