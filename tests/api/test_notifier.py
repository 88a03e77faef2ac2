"""The notifier process: order, patience, and independence of sinks."""

from __future__ import annotations

import base64
import threading
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from state.call import CallEvent, CallState, DisconnectionReason, utc_now
from state.connection import connect
from state.dead_letters import DeadLetters
from state.delivery_counts import DeliveryCounts, DeliveryOutcome
from state.keys import Keys
from state.outbox import Outbox
from tests.api.camara_schemas import validate
from tests.api.configuration import write_config
from tests.api.played_engine import PlayedEngine
from tests.api.processes import NotifierProcess
from tests.api.sink_server import SinkServer
from tests.support.waiting import wait_until

WHOLE_LIFE = ["initiating", "callingCaller", "callingCallee", "connected", "disconnected"]


@pytest.fixture
def running(notifier: NotifierProcess) -> NotifierProcess:
    notifier.start()
    return notifier


def live_and_end(engine: PlayedEngine, call_id: str) -> None:
    engine.connect(call_id)
    engine.end(call_id, DisconnectionReason.HANG_UP, duration=7)


def nothing_left(engine: PlayedEngine, redis_url: str, prefix: str) -> None:
    async def is_empty() -> bool:
        async with connect(redis_url) as redis:
            return await Outbox(redis, Keys(prefix), retention=60).is_empty()

    wait_until(lambda: engine.run(is_empty()), what="an empty outbox")


def count(engine: PlayedEngine, redis_url: str, prefix: str, outcome: DeliveryOutcome) -> int:
    async def read() -> int:
        async with connect(redis_url) as redis:
            return (await DeliveryCounts(redis, Keys(prefix)).read())[outcome]

    return engine.run(read())


def letters(engine: PlayedEngine, redis_url: str, prefix: str) -> list[tuple[str, str, str]]:
    """Call, state and reason of each dead letter."""

    async def read() -> list[tuple[str, str, str]]:
        async with connect(redis_url) as redis:
            return [
                (letter.event.call_id, letter.event.state.value, letter.reason.value)
                async for letter in DeadLetters(redis, Keys(prefix)).all()
                if isinstance(letter.event, CallEvent)
            ]

    return engine.run(read())


@pytest.mark.usefixtures("running")
def test_every_step_arrives_in_order_with_the_right_headers(
    engine: PlayedEngine, sink: SinkServer, redis_url: str, prefix: str
) -> None:
    call = engine.create(sink=f"{sink.root}/a?b=c", sink_token="sink-token", correlator="corr-1")
    live_and_end(engine, call.id)
    received = sink.wait_for("/a?b=c", 5)
    assert [one.state for one in received] == WHOLE_LIFE
    for one, event in zip(received, engine.run(engine.calls.events(call.id)), strict=True):
        assert one.headers["content-type"] == "application/cloudevents+json"
        assert one.headers["authorization"] == "Bearer sink-token"
        assert one.headers["x-correlator"] == "corr-1"
        assert one.event["id"] == event.id
        assert one.event["data"]["callId"] == call.id
        validate("CallStatusChangedEvent", one.event)
    assert received[-1].event["data"]["callDuration"] == "7"
    nothing_left(engine, redis_url, prefix)
    wait_until(lambda: count(engine, redis_url, prefix, DeliveryOutcome.DELIVERED) == 5)


@pytest.mark.usefixtures("running")
def test_without_a_credential_there_is_no_authorization(engine: PlayedEngine, sink: SinkServer) -> None:
    engine.create(sink=f"{sink.root}/plain")
    assert "authorization" not in sink.wait_for("/plain", 1)[0].headers


@pytest.mark.usefixtures("running")
def test_a_failed_delivery_is_repeated_with_the_same_id_before_the_next_event(
    engine: PlayedEngine, sink: SinkServer
) -> None:
    sink.answers["/flaky"].extend([500, 503, 404, 302])
    call = engine.create(sink=f"{sink.root}/flaky")
    live_and_end(engine, call.id)
    received = sink.wait_for("/flaky", 9)
    assert [one.state for one in received] == ["initiating"] * 4 + WHOLE_LIFE
    assert len({one.event["id"] for one in received[:5]}) == 1
    assert len({one.event["id"] for one in received}) == 5
    assert received[0].event == received[4].event


@pytest.mark.usefixtures("running")
def test_a_redirect_is_not_followed(engine: PlayedEngine, sink: SinkServer) -> None:
    sink.answers["/redirect"].extend([307])
    engine.create(sink=f"{sink.root}/redirect", sink_token="secret")
    sink.wait_for("/redirect", 2)
    assert sink.at("/elsewhere") == []


@pytest.mark.usefixtures("running")
def test_after_gone_no_event_of_the_call_is_sent(
    engine: PlayedEngine, sink: SinkServer, redis_url: str, prefix: str
) -> None:
    sink.answers["/gone"].extend([410])
    call, other = engine.create(sink=f"{sink.root}/gone"), engine.create(sink=f"{sink.root}/other")
    wait_until(lambda: letters(engine, redis_url, prefix) == [(call.id, "initiating", "refused")])
    for one in (call, other):
        engine.end(one.id, DisconnectionReason.CALLER_BUSY)
    sink.wait_for("/other", 2)
    nothing_left(engine, redis_url, prefix)
    assert [one.state for one in sink.at("/gone")] == ["initiating"]
    assert letters(engine, redis_url, prefix) == [
        (call.id, "initiating", "refused"),
        (call.id, "disconnected", "refused"),
    ]
    assert count(engine, redis_url, prefix, DeliveryOutcome.REFUSED) == 1


def test_events_that_wait_behind_one_refused_are_dead_letters_too(
    engine: PlayedEngine, sink: SinkServer, notifier: NotifierProcess, redis_url: str, prefix: str
) -> None:
    sink.answers["/gone"].extend([410])
    call = engine.create(sink=f"{sink.root}/gone")
    live_and_end(engine, call.id)
    notifier.start()
    nothing_left(engine, redis_url, prefix)
    assert [one.state for one in sink.at("/gone")] == ["initiating"]
    assert letters(engine, redis_url, prefix) == [(call.id, state, "refused") for state in WHOLE_LIFE]


@pytest.mark.usefixtures("running")
def test_nothing_is_sent_with_an_expired_token(
    engine: PlayedEngine, sink: SinkServer, redis_url: str, prefix: str
) -> None:
    hour = timedelta(hours=1)
    expired = engine.create(
        sink=f"{sink.root}/expired", sink_token="old", sink_token_expires_at=utc_now() - hour
    )
    good = engine.create(sink=f"{sink.root}/good", sink_token="new", sink_token_expires_at=utc_now() + hour)
    for call in (expired, good):
        live_and_end(engine, call.id)
    sink.wait_for("/good", 5)
    nothing_left(engine, redis_url, prefix)
    assert sink.at("/expired") == []
    assert letters(engine, redis_url, prefix) == [
        (expired.id, state, "token_expired") for state in WHOLE_LIFE
    ]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_sink_is_given_the_time_that_it_asks_for(engine: PlayedEngine, sink: SinkServer, form: str) -> None:
    in_three_seconds = format_datetime(utc_now() + timedelta(seconds=3), usegmt=True)
    sink.retry_after["/busy"] = "2" if form == "seconds" else in_three_seconds
    sink.answers["/busy"].extend([429])
    engine.create(sink=f"{sink.root}/busy")
    first, second = sink.wait_for("/busy", 2)
    assert second.at - first.at > 1.5, "without Retry-After it would be 0.05 s"


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("nonsense", ["soon", "-5", "1e9", "Wed, 99 Nov 2026 00:00:00 GMT"])
def test_a_retry_after_that_means_nothing_changes_nothing(
    engine: PlayedEngine, sink: SinkServer, nonsense: str
) -> None:
    sink.retry_after["/odd"] = nonsense
    sink.answers["/odd"].extend([500])
    engine.create(sink=f"{sink.root}/odd")
    sink.wait_for("/odd", 2)


@pytest.mark.usefixtures("running")
def test_a_sink_that_is_down_is_probed_by_one_event_at_a_time(
    engine: PlayedEngine, sink: SinkServer, redis_url: str, prefix: str
) -> None:
    sink.answers["/down"].extend([503] * 3)
    first = engine.create(sink=f"{sink.root}/down")
    sink.wait_for("/down", 1)
    calls = [first, *(engine.create(sink=f"{sink.root}/down") for _ in range(30))]
    received = sink.wait_for("/down", 34)
    nothing_left(engine, redis_url, prefix)
    assert len(received) == len(calls) + 3, "31 events that were taken, and 3 probes that were not"
    assert {one.event["data"]["callId"] for one in received[3:]} == {call.id for call in calls}


@pytest.mark.usefixtures("running")
def test_one_enterprises_failing_sink_holds_up_no_other_enterprise_at_the_same_host(
    engine: PlayedEngine, sink: SinkServer
) -> None:
    sink.retry_after["/theirs"] = "3600"
    sink.answers["/theirs"].extend([429] * 1000)
    engine.create(sink=f"{sink.root}/theirs", enterprise_id="acme")
    sink.wait_for("/theirs", 1)
    for _ in range(5):
        engine.create(sink=f"{sink.root}/ours", enterprise_id="globex")
    sink.wait_for("/ours", 5)


@pytest.mark.usefixtures("running")
def test_slow_and_dead_sinks_delay_no_other_calls_events(engine: PlayedEngine, sink: SinkServer) -> None:
    slow = SinkServer()
    slow.held["/slow"] = threading.Event()
    slow.start()
    try:
        for _ in range(20):  # more than the notifier has slots
            engine.create(sink=f"{slow.root}/slow")
            engine.create(sink="http://127.0.0.1:9/dead")
        slow.wait_for("/slow", 4)
        quick = engine.create(sink=f"{sink.root}/quick")
        live_and_end(engine, quick.id)
        assert [one.state for one in sink.wait_for("/quick", 5)] == WHOLE_LIFE
        assert len(slow.received) == 4, "`concurrency_per_sink`, and it was never answered"
    finally:
        slow.stop()


def test_events_are_given_up_in_the_end(
    engine: PlayedEngine, sink: SinkServer, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    changes = {"notifier": {"give_up_after": 2.0}}
    patient = NotifierProcess(write_config(tmp_path, redis_url, prefix, changes=changes))
    patient.start()
    sink.answers["/broken"].extend([500] * 1000)
    call = engine.create(sink=f"{sink.root}/broken")
    nothing_left(engine, redis_url, prefix)
    assert len(sink.at("/broken")) > 1
    assert "event_given_up" in patient.log()
    assert letters(engine, redis_url, prefix) == [(call.id, "initiating", "given_up")]
    sink.answers["/broken"].clear()
    engine.advance(call.id, CallState.CALLING_CALLER)
    wait_until(lambda: sink.at("/broken")[-1].state == "callingCaller")
    assert patient.terminate() == 0


def test_a_killed_notifier_loses_nothing(
    engine: PlayedEngine, sink: SinkServer, notifier: NotifierProcess
) -> None:
    notifier.start()
    sink.held["/kept"] = threading.Event()
    call = engine.create(sink=f"{sink.root}/kept")
    sink.wait_for("/kept", 1)
    live_and_end(engine, call.id)
    notifier.kill()
    sink.held.pop("/kept").set()
    notifier.start()
    received = sink.wait_for("/kept", 6)
    assert [one.state for one in received] == ["initiating", *WHOLE_LIFE]
    assert received[0].event == received[1].event


def test_a_terminated_notifier_finishes_what_it_began(
    engine: PlayedEngine, sink: SinkServer, notifier: NotifierProcess
) -> None:
    notifier.start()
    sink.held["/last"] = threading.Event()
    call = engine.create(sink=f"{sink.root}/last")
    sink.wait_for("/last", 1)
    engine.advance(call.id, CallState.CALLING_CALLER)
    ending = threading.Thread(target=notifier.terminate)
    ending.start()
    sink.held["/last"].set()
    ending.join()
    assert notifier.exit_code() == 0, notifier.log()
    assert [one.state for one in sink.at("/last")] in (["initiating"], ["initiating", "callingCaller"])
    notifier.start()
    assert [one.state for one in sink.wait_for("/last", 2)] == ["initiating", "callingCaller"]


def test_the_log_holds_no_number_and_no_token(
    engine: PlayedEngine, sink: SinkServer, running: NotifierProcess
) -> None:
    sink.answers["/private"].extend([500])
    call = engine.create(sink=f"{sink.root}/private", sink_token="very-secret")
    sink.wait_for("/private", 2)
    wait_until(lambda: "event_delivered" in running.log())
    assert call.id in running.log()
    for secret in ("very-secret", call.caller, call.callee):
        assert secret not in running.log()


def test_events_are_signed_with_each_of_the_enterprises_secrets(
    engine: PlayedEngine, sink: SinkServer, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    old, new = (f"whsec_{base64.b64encode(secret).decode()}" for secret in (b"o" * 24, b"n" * 64))
    enterprises = [
        {"id": "acme", "number": "+442079460000", "webhook_secrets": [old, new]},
        {"id": "globex", "number": "+442079460001"},
    ]
    signing = NotifierProcess(write_config(tmp_path, redis_url, prefix, changes={"enterprises": enterprises}))
    signing.start()
    sink.answers["/signed"].extend([500])
    call = engine.create(sink=f"{sink.root}/signed", enterprise_id="acme")
    engine.create(sink=f"{sink.root}/plain", enterprise_id="globex")
    received = sink.wait_for("/signed", 2)
    for one in received:
        for secret in (old, new):
            assert Webhook(secret).verify(one.body, one.headers)["id"] == one.event["id"]
        with pytest.raises(WebhookVerificationError):
            Webhook(old).verify(one.body.replace(call.id.encode(), b"x"), one.headers)
    assert received[0].headers["webhook-id"] == received[1].headers["webhook-id"] == received[0].event["id"]
    assert "webhook-signature" not in sink.wait_for("/plain", 1)[0].headers
    assert signing.terminate() == 0
    assert "whsec" not in signing.log()
