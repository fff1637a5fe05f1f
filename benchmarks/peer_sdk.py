"""The vendor's SDK in a pool of 32 threads, fed by aio-pika: `python -m benchmarks.peer_sdk SPEC`."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from huaweicloudsdkapig.v2 import (
    ApigClient,
    AttachOrDetachDomainInfo,
    AttachOrDetachDomainsReqBody,
    BatchAssociateDomainsV2Request,
    CertificateForm,
    UpdateCertificateV2Request,
)
from huaweicloudsdkcore.auth.credentials import BasicCredentials

from benchmarks.peer_sync import spec_of
from benchmarks.standin import PROJECT


@dataclass(frozen=True, slots=True)
class Sdk:
    """Makes the calls of one renewal, one after the other."""

    client: Any
    spec: Mapping[str, Any]

    def send_all(self, body: bytes) -> None:
        renewal = json.loads(body)["data"]
        name, material = renewal["certificate"], renewal["material"]
        for step in self.spec["steps"]:
            for method, _, sent in step:
                if method == "PUT":
                    self._store(name, material)
                else:
                    self._attach(name, json.loads(sent)["domains"][0])

    def _store(self, name: str, material: Mapping[str, str]) -> None:
        chain, key = material["chain_pem"], material["private_key_pem"]
        form = CertificateForm(name=f"cert_{name}", cert_content=chain, private_key=key)
        self.client.update_certificate_v2(UpdateCertificateV2Request(certificate_id=name, body=form))

    def _attach(self, name: str, domain: Mapping[str, Any]) -> None:
        body = AttachOrDetachDomainsReqBody(domains=[AttachOrDetachDomainInfo(**domain)])
        self.client.batch_associate_domains_v2(BatchAssociateDomainsV2Request(certificate_id=name, body=body))


@dataclass(frozen=True, slots=True)
class Feed:
    """From the queue to the pool."""

    sdk: Sdk
    pool: ThreadPoolExecutor
    events: AbstractExchange

    async def on_message(self, message: AbstractIncomingMessage) -> None:
        await asyncio.get_running_loop().run_in_executor(self.pool, self.sdk.send_all, message.body)
        event = aio_pika.Message(self.sdk.spec["event"].encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.events.publish(event, "certificate.rotation.succeeded")
        await message.ack()


async def serve(spec: Mapping[str, Any]) -> None:
    credentials = BasicCredentials("access", "secret", PROJECT)
    client = ApigClient.new_builder().with_credentials(credentials).with_endpoint(spec["endpoint"]).build()
    connection = await aio_pika.connect(spec["amqp"])
    async with connection:
        events = await (await connection.channel()).get_exchange(spec["events"], ensure=False)
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=spec["in_flight"])
        queue = await channel.get_queue(spec["queue"], ensure=False)
        with ThreadPoolExecutor(spec["in_flight"]) as pool:
            await queue.consume(Feed(Sdk(client, spec), pool, events).on_message)
            stopped = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
            await stopped.wait()


if __name__ == "__main__":
    asyncio.run(serve(spec_of(sys.argv[1])))
