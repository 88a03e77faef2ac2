"""The soak's load: calls between random phones of the lab, some of them deleted at a random moment."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import httpx2

from dialbridge.demo.lab_process import LabAccess
from dialbridge.demo.rest_client import BASE, SCOPES

ENDINGS = (
    "00",
    "01",
    "02",
    "10",
    "11",
    "12",
    "13",
    "14",
    "15",
    "20",
    "21",
    "22",
    "23",
    "24",
    "25",
    "26",
    "27",
)
"""The lab's number plan: every behaviour of its phones."""
TALKERS = ("00", "01", "02", "20", "22", "23", "24", "25")
"""Half of the callers, so that most calls get beyond their first leg."""
LONGEST = 25.0
"""Seconds after which every call is deleted that has not ended by itself."""
WARM_UP_CALL = 4.0
"""Seconds."""
TOKEN_AGE = 1800.0
"""Seconds; the lab's tokens are valid for an hour."""
IN_TIME = 30.0


@dataclass(slots=True)
class Outcome:
    """What the REST API answered."""

    call_ids: list[str] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def surprises(self) -> dict[str, int]:
        """Answers that no caller should have got. 409 to a DELETE: the call had ended by itself."""
        fine = {("POST", 201), ("DELETE", 204), ("DELETE", 409)}
        return {
            f"{method} {status}": n
            for (method, status), n in self.statuses.items()
            if (method, status) not in fine
        }


class Load:
    def __init__(self, lab: LabAccess, sink: str, random: Random) -> None:
        self.outcome = Outcome()
        self._lab = lab
        self._sink = sink
        self._random = random
        self._numbers = itertools.count()
        self._http = httpx2.AsyncClient(base_url=lab.api_root + BASE, timeout=IN_TIME, trust_env=False)
        self._token_until = 0.0

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
                await self._authenticate()
                calls.create_task(self._call())

    async def warm_up(self) -> None:
        """One recorded call: what an engine opens with its first one stays open."""
        await self._authenticate()
        await self._call_between("02", "01", recorded=True, stay=WARM_UP_CALL)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _authenticate(self) -> None:
        """By a new token, when the one we have becomes old."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._token_until:
            return
        self._token_until = loop.time() + TOKEN_AGE
        response = await self._http.post(
            self._lab.token_url,
            data={"grant_type": "client_credentials", "scope": SCOPES},
            auth=(self._lab.client_id, self._lab.client_secret),
        )
        response.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    async def _call(self) -> None:
        random = self._random
        caller = random.choice(TALKERS if random.random() < 0.5 else ENDINGS)
        stay = random.uniform(0, LONGEST) if random.random() < 0.6 else LONGEST
        await self._call_between(caller, random.choice(ENDINGS), recorded=random.random() < 0.5, stay=stay)

    async def _call_between(self, caller: str, callee: str, *, recorded: bool, stay: float) -> None:
        """`stay`: seconds until DELETE."""
        body = {
            "caller": {"number": self._number(caller)},
            "callee": {"number": self._number(callee)},
            "sink": self._sink,
            "recordingEnabled": recorded,
        }
        response = await self._http.post("/calls", json=body)
        self.outcome.statuses["POST", response.status_code] += 1
        if response.status_code != httpx2.codes.CREATED:
            return
        call_id = str(response.json()["callId"])
        self.outcome.call_ids.append(call_id)
        await asyncio.sleep(stay)
        response = await self._http.delete(f"/calls/{call_id}")
        self.outcome.statuses["DELETE", response.status_code] += 1

    def _number(self, ending: str) -> str:
        """A number of its own for each party, so that no two live calls are between the same pair."""
        return f"+4477{next(self._numbers) % 1_000_000:06}{ending}"
