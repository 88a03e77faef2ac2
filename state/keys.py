"""Every Redis key. All carry the hash tag ``{prefix}``: scripts touch several keys, so on a Redis Cluster
they share one slot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Keys:
    prefix: str = "dialbridge"

    @property
    def root(self) -> str:
        return f"{{{self.prefix}}}:"

    def call(self, call_id: str) -> str:
        """hash: the call's record."""
        return f"{self.root}call:{call_id}"

    def events(self, call_id: str) -> str:
        """stream: the call's events in order."""
        return f"{self.root}call:{call_id}:events"

    def sip(self, call_id: str) -> str:
        """stream: the call's SIP messages in order."""
        return f"{self.root}call:{call_id}:sip"

    @property
    def cdrs(self) -> str:
        """stream: a call detail record for each call that ended."""
        return f"{self.root}cdrs"

    @property
    def cdrs_written(self) -> str:
        """string: until when call detail records are in files (seconds, the Redis server's clock)."""
        return f"{self.root}cdrs:written"

    @property
    def cdrs_writer(self) -> str:
        """string: lock of the notifier that writes such files."""
        return f"{self.root}cdrs:writer"

    @property
    def cdrs_masked(self) -> str:
        """sorted set: those of them whose numbers are masked (JSON), by when they were written (ms)."""
        return f"{self.root}cdrs:masked"

    @property
    def audit(self) -> str:
        """stream: who did what with what is others' business."""
        return f"{self.root}audit"

    def pair(self, enterprise_id: str, caller: str, callee: str) -> str:
        """string: id of the live call between these two numbers."""
        return f"{self.root}pair:{enterprise_id}:{caller}:{callee}"

    @property
    def enterprises(self) -> str:
        """set: ids of all enterprises."""
        return f"{self.root}enterprises"

    def enterprise(self, enterprise_id: str) -> str:
        """hash: an enterprise's profile (JSON), state and version, and what the settings file said of it."""
        return f"{self.root}enterprise:{enterprise_id}"

    def members(self, enterprise_id: str) -> str:
        """hash: names by number of those who may be callers."""
        return f"{self.root}enterprise:{enterprise_id}:members"

    @property
    def clients(self) -> str:
        """hash: for which enterprise a client acts."""
        return f"{self.root}clients"

    def enterprise_calls(self, enterprise_id: str) -> str:
        """set: ids of an enterprise's live calls."""
        return f"{self.root}enterprise:{enterprise_id}:calls"

    def enterprise_pace(self, enterprise_id: str) -> str:
        """string: until when its calls have used up the pace allowed (ms, the Redis server's clock)."""
        return f"{self.root}enterprise:{enterprise_id}:pace"

    def rate(self, subject: Sequence[str], seconds: int) -> str:
        """sorted set: ids of the last `seconds`' calls of `subject`, by time (ms, the server's clock)."""
        return f"{self.root}rate:{seconds}:{':'.join(subject)}"

    @property
    def rates(self) -> str:
        """pattern of all those."""
        return f"{self.root}rate:*"

    def pool(self, enterprise_id: str) -> str:
        """hash: an enterprise's minutes, in seconds: balance, reserved of it, last renewal, settings."""
        return f"{self.root}enterprise:{enterprise_id}:pool"

    def pool_reserved(self, enterprise_id: str) -> str:
        """hash: seconds reserved by live call."""
        return f"{self.root}enterprise:{enterprise_id}:pool:reserved"

    def pool_references(self, enterprise_id: str) -> str:
        """hash: seconds by the reference of each top-up."""
        return f"{self.root}enterprise:{enterprise_id}:pool:references"

    def ledger(self, enterprise_id: str) -> str:
        """stream: every change of the pool's balance, never trimmed."""
        return f"{self.root}enterprise:{enterprise_id}:ledger"

    @property
    def pool_alarms(self) -> str:
        """stream: pools whose balance fell below their low-water mark, until a notifier has told of it."""
        return f"{self.root}pool:alarms"

    def pool_events(self, enterprise_id: str) -> str:
        """hash: where the events of an enterprise's pool go, and whether that sink has refused them."""
        return f"{self.root}enterprise:{enterprise_id}:pool:events"

    def idempotency(self, enterprise_id: str, client_id: str, key: str) -> str:
        """hash: which call a client's Idempotency-Key made, and of what request."""
        # Hashed: where one ends and the other begins must not be the client's to say.
        names = json.dumps([enterprise_id, client_id, key])
        return f"{self.root}idempotency:{sha256(names.encode()).hexdigest()}"

    @property
    def idempotencies(self) -> str:
        """pattern of all those."""
        return f"{self.root}idempotency:*"

    def naming(self, number: str) -> str:
        """pattern of all keys whose names contain a phone number."""
        return f"{self.root}*{number}*"

    @property
    def engines(self) -> str:
        """sorted set: engine ids by their last heartbeat (ms, the Redis server's clock)."""
        return f"{self.root}engines"

    def engine(self, engine_id: str) -> str:
        """hash: name, state, capacity, load and resource counts of one engine process."""
        return f"{self.root}engine:{engine_id}"

    def engine_calls(self, engine_id: str) -> str:
        """set: ids of the live calls an engine owns; its size is the engine's load."""
        return f"{self.root}engine:{engine_id}:calls"

    def commands(self, engine_id: str) -> str:
        """stream: what an engine is asked to do."""
        return f"{self.root}engine:{engine_id}:commands"

    def outbox(self, owner: str) -> str:
        """list: events not delivered yet, oldest first; `owner`: the call's id or, of a pool, "pool:" and its
        enterprise's."""
        return f"{self.root}outbox:{owner}"

    def outbox_record(self, owner: str) -> str:
        """That of the two which says where the owner's events go, as in sink_queue.lua."""
        kind, _, enterprise_id = owner.partition(":")
        return self.pool_events(enterprise_id) if kind == "pool" else self.call(owner)

    @property
    def outbox_due(self) -> str:
        """sorted set: owners of events that are not in their sink's queue yet, by when they came (ms)."""
        return f"{self.root}outbox:due"

    @property
    def outbox_sinks(self) -> str:
        """sorted set: sinks that answer at once and that something waits for, by when to look at them (ms).

        A sink's own keys (`outbox:sink:*`) are those of sink_queue.lua."""
        return f"{self.root}outbox:sinks"

    @property
    def outbox_slow_sinks(self) -> str:
        """sorted set: the same of sinks that are slow or down."""
        return f"{self.root}outbox:sinks:slow"

    @property
    def outbox_wake(self) -> str:
        """channel: something became due."""
        return f"{self.root}outbox:wake"

    def outbox_attempt(self, owner: str) -> str:
        """hash: failed attempts at the oldest undelivered event."""
        return f"{self.root}outbox:{owner}:attempt"

    @property
    def dead_letters(self) -> str:
        """stream: events that will not be delivered any more, with the reason."""
        return f"{self.root}outbox:dead"

    @property
    def delivery_counts(self) -> str:
        """hash: how many deliveries ended how, over all notifiers."""
        return f"{self.root}deliveries"

    @property
    def refusal_counts(self) -> str:
        """hash: how often policy refused, by what was refused and the rule."""
        return f"{self.root}refusals"

    @property
    def assertions(self) -> str:
        """prefix of strings: client assertions already used (RFC 7523, `jti`)."""
        return f"{self.root}assertion:"
