"""Tracking: the only package that logs to MLflow. A search writes to a spool on disk; a thread carries it to MLflow.

Tracker (tracker.py)   events -> records, never waits, never raises
Spool   (spool.py)     records on disk, in order, with a mark of how far MLflow has them
Writer  (writer.py)    the thread between the two: retries while MLflow is away
Recorder (recorder.py) a record -> MLflow, the same twice as once
History (history.py)   what was tracked, read back
"""

from service.tracking.history import History, SearchRow, TrialRow
from service.tracking.tracker import Tracker, replay

__all__ = ["History", "SearchRow", "Tracker", "TrialRow", "replay"]
