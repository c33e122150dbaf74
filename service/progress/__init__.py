"""What a person at a terminal sees of a search while it runs, and the tables at its end."""

from service.progress.outcome import outcome_json, outcome_text
from service.progress.progress import Progress

__all__ = ["Progress", "outcome_json", "outcome_text"]
