"""Celery: `python -m benchmarks.peer_celery SPEC enqueue|prefork|threads`."""

import sys
from collections.abc import Mapping
from typing import Any

from celery import Celery

from benchmarks.peer_sync import messages_of, send_all, spec_of

QUEUE = "peer.celery"


def app_of(spec: Mapping[str, Any]) -> Celery:
    """Settled as safely as Celery can: late acks, confirmed publishes, a quorum queue."""
    app = Celery("peer", broker=spec["amqp"], set_as_current=True)
    app.conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        task_default_queue=QUEUE,
        task_default_queue_type="quorum",
        broker_transport_options={"confirm_publish": True},
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
    )

    def rotate(body: str) -> None:
        send_all(spec, body)
        with app.producer_pool.acquire(block=True) as producer:
            producer.publish(
                spec["event"].encode(),
                exchange=spec["events"],
                routing_key="certificate.rotation.succeeded",
                content_type="application/json",
                content_encoding="binary",
                delivery_mode=2,
            )

    app.task(name="rotate")(rotate)
    return app


def main() -> int:
    spec, what = spec_of(sys.argv[1]), sys.argv[2]
    app = app_of(spec)
    if what == "enqueue":
        for body in messages_of(spec):
            app.send_task("rotate", (body,))
        return 0
    concurrency = 32 if what == "threads" else 8
    app.worker_main(
        [
            "worker",
            f"--pool={what}",
            f"--concurrency={concurrency}",
            "--loglevel=ERROR",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
