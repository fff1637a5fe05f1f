"""A broker for commands that only read: they leave nothing behind where nothing is."""

from worker.broker import broker_of, embedded_file
from worker.broker.base import Broker, BrokerError
from worker.settings import Settings
from worker.settings.resolve import broker_url
from worker.shielding import judge_of


def broker_to_read(settings: Settings) -> Broker:
    """Raises BrokerError where the embedded broker has no file yet: opening it would make one."""
    file = embedded_file(broker_url(settings.broker))
    if file is not None and not file.exists():
        raise BrokerError("the embedded broker has no file yet: nothing has run or published with these settings")
    return broker_of(settings, judge_of(settings))
