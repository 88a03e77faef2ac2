"""The soak's load: calls between random phones of the lab, most of them deleted at a random moment."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random

import httpx2

from bench.soak_outcomes import NEVER_ANSWERS
from bench.soak_recordings import Recording, read
from bench.soak_settings import Times
from dialbridge.demo.lab_process import LabAccess
from dialbridge.demo.rest_client import BASE, SCOPES

TALKING = 0.5
"""Of the callers: for certain a phone that answers, so that most calls get beyond their first leg."""
AT_RANDOM, LONG = 0.5, 0.1
"""Of the calls: deleted at any moment of a usual call's time; left alone until they are the longest."""
RECORDED = 0.5
WARM_UP_CALL = 7.0
"""Seconds; more than the prompts before the talk."""
TOKEN_AGE = 1800.0
"""Seconds; the lab's tokens are valid for an hour."""
IN_TIME = 30.0
FETCHED_AT_ONCE = 4
"""Recordings."""
NO_ANSWER = 0
"""Instead of a status."""


@dataclass(slots=True)
class Placed:
    """A call that was created, between phones by the last two digits of their numbers."""

    call_id: str
    client_id: str
    caller: str
    callee: str
    recorded: bool
    deleted: bool = False
    """DELETE was answered with 204."""


@dataclass(slots=True)
class Outcome:
    """What the REST API answered."""

    calls: list[Placed] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def surprises(self) -> dict[str, int]:
        """Answers that no caller should have got. 409 to a DELETE: the call had ended by itself."""
        fine = {("POST", 201), ("DELETE", 204), ("DELETE", 409)}
        return {
            f"{method} {status or 'without an answer'}": n
            for (method, status), n in self.statuses.items()
            if (method, status) not in fine
        }


class Customer:
    """One client of the REST API."""

    def __init__(self, lab: LabAccess, client_id: str, secret: str) -> None:
        self.client_id = client_id
        self._secret = secret
        self._token_url = lab.token_url
        self._token_until = 0.0
        self._http = httpx2.AsyncClient(base_url=lab.api_root + BASE, timeout=IN_TIME, trust_env=False)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def authenticate(self) -> None:
        """By a new token, when the one we have becomes old."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._token_until:
            return
        self._token_until = loop.time() + TOKEN_AGE
        response = await self._http.post(
            self._token_url,
            data={"grant_type": "client_credentials", "scope": SCOPES},
            auth=(self.client_id, self._secret),
        )
        response.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    async def create(self, body: dict[str, object]) -> httpx2.Response | None:
        """None: no answer."""
        try:
            return await self._http.post("/calls", json=body)
        except httpx2.TransportError:
            return None

    async def delete(self, call_id: str) -> int:
        try:
            return (await self._http.delete(f"/calls/{call_id}")).status_code
        except httpx2.TransportError:
            return NO_ANSWER

    async def recording(self, call_id: str) -> Recording | str:
        """Or why it cannot be had."""
        try:
            response = await self._http.get(f"/calls/{call_id}/recording", headers={"Accept": "audio/wav"})
            if response.status_code != HTTPStatus.OK:
                return f"GET is answered with {response.status_code}"
            return await asyncio.to_thread(read, response.content)
        except (httpx2.TransportError, ValueError) as error:
            return str(error) or type(error).__name__


class Load:
    def __init__(
        self, lab: LabAccess, sink: str, random: Random, times: Times, phones: Sequence[str]
    ) -> None:
        self.outcome = Outcome()
        self._sink = sink
        self._random = random
        self._times = times
        self._phones = tuple(phones)
        self._talkers = tuple(p for p in phones if p not in NEVER_ANSWERS) or self._phones
        self._numbers = itertools.count()
        self._customers = (
            Customer(lab, lab.client_id, lab.client_secret),
            Customer(lab, lab.other_client_id, lab.other_client_secret),
        )

    async def run(self, seconds: float, rate: float) -> None:
        """`rate` new calls a second for so many seconds; returns when all of them have been deleted."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with asyncio.TaskGroup() as calls:
            for n in itertools.count():
                due = begin + n / rate
                if due - begin >= seconds:
                    return
                await asyncio.sleep(max(0.0, due - loop.time()))
                customer = self._random.choice(self._customers)
                await customer.authenticate()
                calls.create_task(self._call(customer))

    async def warm_up(self) -> None:
        """One recorded call of each customer: what an engine opens with its first one stays open."""
        async with asyncio.TaskGroup() as calls:
            for customer in self._customers:
                await customer.authenticate()
                calls.create_task(self._call_between(customer, "02", "01", recorded=True, stay=WARM_UP_CALL))

    async def recordings(self, call_ids: Sequence[str]) -> dict[str, Recording | str]:
        """What their clients get of these calls, or why they get nothing."""
        clients = {placed.call_id: placed.client_id for placed in self.outcome.calls}
        customers = {customer.client_id: customer for customer in self._customers}
        room = asyncio.Semaphore(FETCHED_AT_ONCE)

        async def fetch(call_id: str) -> Recording | str:
            async with room:
                return await customers[clients[call_id]].recording(call_id)

        for customer in self._customers:
            await customer.authenticate()
        return dict(zip(call_ids, await asyncio.gather(*map(fetch, call_ids)), strict=True))

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:
            for customer in self._customers:
                stack.push_async_callback(customer.aclose)

    async def _call(self, customer: Customer) -> None:
        random, times = self._random, self._times
        caller = random.choice(self._talkers if random.random() < TALKING else self._phones)
        share = random.random()
        stay = times.usual
        if share < AT_RANDOM:
            stay = random.uniform(0, times.usual)
        elif share > 1 - LONG:
            stay = times.longest
        callee = random.choice(self._phones)
        recorded = random.random() < RECORDED
        await self._call_between(customer, caller, callee, recorded=recorded, stay=stay)

    async def _call_between(
        self, customer: Customer, caller: str, callee: str, *, recorded: bool, stay: float
    ) -> None:
        """`stay`: seconds until DELETE."""
        response = await customer.create(
            {
                "caller": {"number": self._number(caller)},
                "callee": {"number": self._number(callee)},
                "sink": self._sink,
                "recordingEnabled": recorded,
            }
        )
        status = NO_ANSWER if response is None else response.status_code
        self.outcome.statuses["POST", status] += 1
        if response is None or status != HTTPStatus.CREATED:
            return
        call_id = str(response.json()["callId"])
        placed = Placed(call_id, customer.client_id, caller, callee, recorded)
        self.outcome.calls.append(placed)
        await asyncio.sleep(stay)
        status = await customer.delete(call_id)
        self.outcome.statuses["DELETE", status] += 1
        placed.deleted = status == HTTPStatus.NO_CONTENT

    def _number(self, ending: str) -> str:
        """A number of its own for each party, so that no two live calls are between the same pair."""
        return f"+4477{next(self._numbers) % 1_000_000:06}{ending}"
