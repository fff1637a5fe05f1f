"""The clouds' rate limits: kept by construction, learned from refusals, shared fairly; and mutual exclusion by key."""

from worker.limits.limits import LONGEST_WAIT, HeldError, Limits, Turn
from worker.limits.locks import KeyedLock
from worker.limits.queue import TurnQueue
from worker.limits.usage import Source, Usage, Used
from worker.limits.windows import Window

__all__ = ["LONGEST_WAIT", "HeldError", "KeyedLock", "Limits", "Source", "Turn", "TurnQueue", "Usage", "Used", "Window"]
