"""What one api process is made of."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx2
from fastapi import Request
from joserfc.jwk import KeySet
from redis.asyncio import Redis

from api.enterprise_directory import EnterpriseDirectory
from api.issuer import Issuer
from api.metrics import ApiMetrics
from api.recording_encoding import RecordingEncoder
from api.signing_key import load_or_create_signing_key, public_keys
from api.sink_addresses import SinkAddresses
from api.token_keys import OwnKeys, ProviderKeys, TokenKeys
from api.tokens import TokenVerifier
from config import ConfigurationError, Settings
from media.recordings import RecordingStore
from state.assertions import AssertionLog
from state.audit import AuditLog
from state.calls import CallStore
from state.connection import connect
from state.delivery_counts import DeliveryCounts
from state.engines import EngineRegistry
from state.enterprises import EnterpriseStore
from state.keys import Keys
from state.pool import MinutePools
from state.refusal_counts import RefusalCounts
from state.vault import Vault

PROVIDER_TIMEOUT = 5.0
"""Seconds the identity provider has for an answer."""


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    redis: Redis
    http: httpx2.AsyncClient
    calls: CallStore
    engines: EngineRegistry
    enterprises: EnterpriseDirectory
    pools: MinutePools
    deliveries: DeliveryCounts
    refusals: RefusalCounts
    audit: AuditLog
    sinks: SinkAddresses
    vault: Vault
    recordings: RecordingStore
    encoder: RecordingEncoder
    verifier: TokenVerifier
    issuer: Issuer | None
    sink_keys: KeySet
    """Public."""
    metrics: ApiMetrics

    async def close(self) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.redis.aclose)
            stack.push_async_callback(self.http.aclose)
            stack.push_async_callback(self.encoder.close)


def build_services(settings: Settings) -> Services:
    """Nothing is connected yet: Redis and the provider are reached on first use, and again after an outage.

    Raises ConfigurationError.
    """
    redis = connect(settings.redis_url)
    keys = Keys(settings.redis.prefix)
    vault = Vault(settings.privacy)
    recordings = RecordingStore(settings.recording)
    http = httpx2.AsyncClient(timeout=PROVIDER_TIMEOUT, trust_env=False)
    issuer = _embedded_issuer(settings, AssertionLog(redis, keys))
    token_keys: TokenKeys
    if issuer is not None:
        name, token_keys = issuer.issuer, OwnKeys(issuer.public_keys)
    else:
        name = _required_issuer(settings)
        token_keys = ProviderKeys(http, name, settings.auth.jwks_url)
    return Services(
        settings=settings,
        redis=redis,
        http=http,
        calls=CallStore(
            redis,
            keys,
            retention=settings.call.retention,
            engine_lost_after=settings.engine.lost_after,
        ),
        engines=EngineRegistry(redis, keys, lost_after=settings.engine.lost_after),
        enterprises=EnterpriseDirectory(EnterpriseStore(redis, keys, vault), settings),
        pools=MinutePools(redis, keys),
        deliveries=DeliveryCounts(redis, keys),
        refusals=RefusalCounts(redis, keys),
        audit=AuditLog(redis, keys, retention_days=settings.privacy.audit_retention_days),
        sinks=SinkAddresses.of(settings.notifier),
        vault=vault,
        recordings=recordings,
        encoder=RecordingEncoder(recordings.vault),
        verifier=TokenVerifier(token_keys, settings.auth, issuer=name),
        issuer=issuer,
        sink_keys=public_keys(load_or_create_signing_key(settings.notifier.signing_key)),
        metrics=ApiMetrics(),
    )


def get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _embedded_issuer(settings: Settings, assertions: AssertionLog) -> Issuer | None:
    if not settings.auth.embedded_issuer:
        return None
    return Issuer(
        settings.auth,
        settings.clients,
        issuer=settings.auth.issuer or settings.api.public_url,
        key=load_or_create_signing_key(settings.auth.signing_key),
        assertions=assertions,
    )


def _required_issuer(settings: Settings) -> str:
    if settings.auth.issuer is None:
        raise ConfigurationError(
            "auth.issuer is not set: name the OpenID provider's issuer, or set auth.embedded_issuer in a lab"
        )
    return settings.auth.issuer
