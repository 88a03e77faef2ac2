"""`python -m api.notifier`: delivers events, ends the calls of lost engines, writes files of call records."""

from __future__ import annotations

import asyncio
import signal
import sys

import structlog
import uvloop
from joserfc.jwk import ECKey
from redis.asyncio import Redis

from api.cdr_files import CdrFiles
from api.delivery import Courier
from api.dispatcher import OUTAGE_DELAY, Dispatcher
from api.enterprise_directory import EnterpriseDirectory
from api.lost_engines import LostEngineReaper
from api.pool_alarms import LowPoolTeller
from api.signatures import Signer
from api.signing_key import load_or_create_signing_key
from api.sink_addresses import SinkAddresses
from api.sink_tokens import SinkTokens
from api.sink_transport import sink_client
from config import ConfigurationError, Settings, load_settings
from config.logs import configure_logging
from state.calls import CallStore
from state.connection import UNREACHABLE, connect
from state.engines import EngineRegistry
from state.enterprises import EnterpriseStore
from state.keys import Keys
from state.outbox import Outbox
from state.pool import PoolAlarms
from state.vault import Vault

log = structlog.get_logger()


def main() -> int:
    try:
        settings = load_settings()
        redis_url = settings.redis_url
        key = load_or_create_signing_key(settings.notifier.signing_key)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging(settings.log, "notifier")
    uvloop.run(serve(settings, redis_url, key))
    return 0


async def serve(settings: Settings, redis_url: str, key: ECKey) -> None:
    """Until SIGTERM or SIGINT; attempts in progress end within their timeout."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, stopped.set)
    keys = Keys(settings.redis.prefix)
    lost_after = settings.engine.lost_after
    addresses = SinkAddresses.of(settings.notifier)
    async with (
        connect(redis_url) as redis,
        sink_client(
            addresses,
            timeout=settings.notifier.timeout,
            connections=settings.notifier.concurrency,
        ) as http,
    ):
        calls = CallStore(redis, keys, retention=settings.call.retention, engine_lost_after=lost_after)
        outbox = Outbox(
            redis, keys, retention=settings.call.retention, first_probe=settings.notifier.backoff_initial
        )
        vault = Vault(settings.privacy)
        enterprises = EnterpriseDirectory(EnterpriseStore(redis, keys, vault), settings)
        courier = Courier(
            http,
            SinkTokens(http, key),
            Signer(enterprises),
            vault,
            enterprises,
            timeout_after=settings.notifier.timeout,
        )
        dispatcher = Dispatcher(settings, outbox=outbox, courier=courier)
        alarms = PoolAlarms(redis, keys, retention=settings.call.retention)
        teller = LowPoolTeller(
            alarms, enterprises, addresses, allow_insecure=settings.notifier.allow_insecure_sinks
        )
        engines = EngineRegistry(redis, keys, lost_after=lost_after)
        reaper = LostEngineReaper(engines, calls, lost_after=lost_after)
        log.info("notifier_started")
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(listen(redis, outbox.wake_channel, dispatcher))
            watching = tasks.create_task(teller.run())
            tasks.create_task(dispatcher.run())
            tasks.create_task(reaper.run(stopped))
            if (folder := settings.cdr.folder) is not None:
                files = CdrFiles(
                    settings.cdr,
                    folder,
                    redis_url=redis_url,
                    keys=keys,
                    retention=settings.call.retention,
                )
                tasks.create_task(files.run(stopped))
            await stopped.wait()
            listening.cancel()
            watching.cancel()
            dispatcher.stop()
        log.info("notifier_ended")


async def listen(redis: Redis, channel: str, dispatcher: Dispatcher) -> None:
    """Wake the dispatcher whenever something becomes due, and after an outage, which may have hidden that."""
    while True:
        try:
            async with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(channel)
                dispatcher.wake()
                while True:
                    if await pubsub.get_message(timeout=30):
                        dispatcher.wake()
        except UNREACHABLE:
            await asyncio.sleep(OUTAGE_DELAY)


if __name__ == "__main__":
    sys.exit(main())
