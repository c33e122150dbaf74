"""The errors that the service tells its users, and the exit code of each."""

from __future__ import annotations


class ServiceError(Exception):
    """Something that a user can understand and act upon."""

    exit_code = 1


class JobFailed(ServiceError):
    """The job ran and failed; the message is its first cause."""


class NotFound(ServiceError):
    """There is no search, experiment, version or endpoint of that name."""

    exit_code = 3


class Refused(ServiceError):
    """A gate or a conflict says no; the message says why."""

    exit_code = 4


class ClusterUnreachable(ServiceError):
    """The Ray cluster or a server does not answer."""

    exit_code = 5


def exit_code(error: Exception) -> int | None:
    """The exit code for a user's error, or None where it is ours (a bug, to be seen with its traceback)."""
    from fusegpt.config import SettingError
    from fusegpt.data.sample import DataError

    if isinstance(error, ServiceError):
        return error.exit_code
    if type(error).__name__ in ("TrainingError", "FetchError"):  # not imported: they bring much along
        return 1
    if isinstance(error, SettingError | DataError | ValueError):
        return 2
    if isinstance(error, FileNotFoundError):
        return 3
    return None


def sentence(error: BaseException) -> str:
    """What went wrong, in one line. Errors made for people speak for themselves; others are named by their class."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):  # Ray wraps what a worker raised
        return sentence(cause)
    text = " ".join(str(error).split())[:500] or "no message"
    made_for_people = type(error).__module__.split(".")[0] in ("fusegpt", "service")
    return text if made_for_people else f"{type(error).__name__}: {text}"
