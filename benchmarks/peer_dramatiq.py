"""dramatiq in one process with 32 threads: `python -m benchmarks.peer_dramatiq SPEC enqueue|run`."""

import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

import dramatiq
import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.peer_sync import messages_of, send_all, spec_of

QUEUE = "peer.dramatiq"


def actor_of(spec: Mapping[str, Any], broker: RabbitmqBroker) -> Any:
    def rotate(body: str) -> None:
        send_all(spec, body)
        # The broker's channel is the thread's own, and its publishes are confirmed.
        broker.channel.basic_publish(
            spec["events"],
            "certificate.rotation.succeeded",
            spec["event"].encode(),
            pika.BasicProperties(delivery_mode=2),
        )

    return dramatiq.actor(rotate, actor_name="rotate", queue_name=QUEUE, broker=broker)


def main() -> int:
    spec, what = spec_of(sys.argv[1]), sys.argv[2]
    broker = RabbitmqBroker(url=spec["amqp"], confirm_delivery=True)
    rotate = actor_of(spec, broker)
    if what == "enqueue":
        for body in messages_of(spec):
            rotate.send(body)
        return 0
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    worker = dramatiq.Worker(broker, worker_threads=spec["in_flight"])
    worker.start()
    stopped.wait()
    worker.stop(timeout=1000)
    return 0


if __name__ == "__main__":
    sys.exit(main())
