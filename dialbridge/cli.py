"""The command line."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from config import ConfigurationError
from config.logs import configure_logging
from config.settings import CONFIG_VARIABLE, LogSettings
from dialbridge.command import ConfigOption, fail, named, redis_in_reach, settings_of
from dialbridge.processes import MODULES
from dialbridge.provisioning import clients, enterprises, members
from dialbridge.supervisor import StartFailedError

app = typer.Typer(
    help="Click-to-dial that really bridges phone calls.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

cdr = typer.Typer(help="Call detail records.", no_args_is_help=True)
app.add_typer(cdr, name="cdr")
audit = typer.Typer(help="Who did what with others' data.", no_args_is_help=True)
app.add_typer(audit, name="audit")
erase = typer.Typer(help="What is kept of a call or of a number is deleted.", no_args_is_help=True)
app.add_typer(erase, name="erase")
recordings = typer.Typer(help="Stored recordings.", no_args_is_help=True)
app.add_typer(recordings, name="recordings")
pool = typer.Typer(help="The minutes that an enterprise's members share.", no_args_is_help=True)
app.add_typer(pool, name="pool")
dead_letters = typer.Typer(help="Events that no sink has taken.", no_args_is_help=True)
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(enterprises, name="enterprise")
app.add_typer(members, name="member")
app.add_typer(clients, name="client")

VarOption = Annotated[Path, typer.Option("--var", help="Folder for everything that is written.")]


@app.command()
def serve(config: ConfigOption = None, var: VarOption = Path("var")) -> None:
    """Run api, engine and notifier, and an embedded Redis if none is configured."""
    from dialbridge.serve import serve as run  # noqa: PLC0415 - each command loads what it needs

    try:
        run(named(config), var)
    except (ConfigurationError, StartFailedError, OSError) as error:
        fail(str(error))


@app.command()
def engine(config: ConfigOption = None) -> None:
    """Run one engine: the process that dials, bridges and records."""
    _become("engine", config)


@app.command()
def api(config: ConfigOption = None) -> None:
    """Run one REST server."""
    _become("api", config)


@app.command()
def notifier(config: ConfigOption = None) -> None:
    """Run one notifier: it delivers the events to the sinks."""
    _become("notifier", config)


@app.command()
def lab(
    var: VarOption = Path("var"),
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="TCP port of the API.")] = 9091,
    app_server: Annotated[
        str | None,
        typer.Option(
            "--app-server",
            envvar="DIALBRIDGE_LAB_APP_SERVER",
            help="URL of the application that gets the status notifications of the older API generation.",
        ),
    ] = None,
) -> None:
    """Run everything on this machine, with phones that answer, and say how to use it."""
    from dialbridge.lab import Lab, LabError  # noqa: PLC0415
    from dialbridge.phones import PhonesMissingError  # noqa: PLC0415

    configure_logging(LogSettings(format="console"), "lab")
    try:
        Lab(var, port, app_server).run(lambda line: print(line, flush=True))
    except (LabError, PhonesMissingError, ConfigurationError, OSError) as error:
        fail(str(error))


@app.command()
def demo(var: VarOption = Path("var")) -> None:
    """Place one recorded call in a lab of its own, show what happens, and prove what was recorded."""
    from dialbridge.demo.run import main as run_demo  # noqa: PLC0415

    try:
        sys.exit(run_demo(var / "demo"))
    except OSError as error:
        fail(f"the demonstration could not begin: {error}")


DAY_OR_SECOND = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


StartOption = Annotated[
    datetime, typer.Option("--from", formats=DAY_OR_SECOND, help="What happened then or later (UTC).")
]
EndOption = Annotated[
    datetime, typer.Option("--to", formats=DAY_OR_SECOND, help="What happened before (UTC).")
]


@cdr.command("export")
def export_cdr(
    start: StartOption,
    end: EndOption,
    style: Annotated[Literal["jsonl", "csv"], typer.Option("--format")] = "jsonl",
    output: Annotated[Path | None, typer.Option(help="File to write or replace; else stdout.")] = None,
    config: ConfigOption = None,
) -> None:
    """Write one record for each call that ended in a period, with reason, duration and quality."""
    from dialbridge.cdr import export  # noqa: PLC0415

    start, end = _period(start, end)
    with redis_in_reach():
        count = export(settings_of(config), start=start, end=end, style=style, output=output)
    if output is not None:
        print(f"{count} records in {output}", file=sys.stderr)


@audit.command("export")
def export_audit(start: StartOption, end: EndOption, config: ConfigOption = None) -> None:
    """Write a JSON line for each download, change of an enterprise, top-up and erasure: when, by whom."""
    from dialbridge.audit import export  # noqa: PLC0415

    start, end = _period(start, end)
    with redis_in_reach():
        export(settings_of(config), start=start, end=end)


@erase.command("call")
def erase_one_call(
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID")], config: ConfigOption = None
) -> None:
    """Erase an ended call, with its recording. Its call detail record stays, with its numbers masked.

    Exit status: 0 erased; 3 not now, as it is live or its recording is still being stored; 4 nothing is kept.
    """
    from dialbridge.erase import erase_call  # noqa: PLC0415

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", call_id):
        raise typer.BadParameter("it is no call's id")
    with redis_in_reach():
        sys.exit(erase_call(settings_of(config), call_id))


@erase.command("number")
def erase_one_number(
    number: Annotated[str, typer.Argument(metavar="+E164")],
    members: Annotated[bool, typer.Option("--members", help="It is no member any more, either.")] = False,
    config: ConfigOption = None,
) -> None:
    """Erase all calls of a number, with their recordings; a JSON line for each.

    Exit status: as of `erase call`. While one of its calls is live, none is erased.
    """
    from dialbridge.erase import erase_number  # noqa: PLC0415

    if not re.fullmatch(r"\+[1-9][0-9]{4,14}", number):
        raise typer.BadParameter("it must be like +441632960000 (E.164)")
    with redis_in_reach():
        sys.exit(erase_number(settings_of(config), number, members=members))


@recordings.command("rekey")
def rekey_recordings(config: ConfigOption = None) -> None:
    """Encrypt with the first of `recording.keys` what another key has encrypted, or none."""
    from dialbridge.recordings import rekey  # noqa: PLC0415

    try:
        done = rekey(settings_of(config))
    except (ConfigurationError, OSError) as error:
        fail(str(error))
    print(f"{done.changed} files encrypted anew", file=sys.stderr)
    if done.failed:
        fail(f"{done.failed} files could not be read or written, and are left as they were")


CallIdsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Of calls, or pool:ENTERPRISE of its pool; none: all.", metavar="[CALL_ID]..."),
]


@dead_letters.command("list")
def list_dead_letters(call_ids: CallIdsArgument = None, config: ConfigOption = None) -> None:
    """Print the events that will not be delivered any more, a JSON line for each, and why."""
    from dialbridge.dead_letters import list_letters  # noqa: PLC0415

    with redis_in_reach():
        count = list_letters(settings_of(config), call_ids or ())
    print(f"{count} dead letters", file=sys.stderr)


@dead_letters.command("resend")
def resend_dead_letters(call_ids: CallIdsArgument = None, config: ConfigOption = None) -> None:
    """Send them again, each with its own id. What fails again becomes a dead letter again."""
    from dialbridge.dead_letters import resend  # noqa: PLC0415
    from state.dead_letters import ResendResult  # noqa: PLC0415

    with redis_in_reach():
        results = resend(settings_of(config), call_ids or ())
    print(f"{results[ResendResult.RESENT]} events on their way", file=sys.stderr)
    if lost := results[ResendResult.NO_SINK]:
        fail(f"{lost} events stay dead letters: the records of their calls, which name the sinks, are gone")


EnterpriseArgument = Annotated[str, typer.Argument(help="The enterprise's id.", metavar="ENTERPRISE")]


@pool.command("show")
def show_pools(
    enterprise: Annotated[
        str | None, typer.Argument(help="Its id; none: all.", metavar="[ENTERPRISE]")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Print a JSON line for each pool: its balance, what live calls have reserved, the rest. In seconds."""
    from dialbridge.pool import show  # noqa: PLC0415

    with redis_in_reach():
        show(settings_of(config), enterprise)


@pool.command("top-up")
def top_up_pool(
    enterprise: EnterpriseArgument,
    minutes: Annotated[int, typer.Argument(min=1, metavar="MINUTES")],
    reference: Annotated[
        str, typer.Option(help="Names this top-up, like an invoice: repeated, it adds nothing.")
    ],
    config: ConfigOption = None,
) -> None:
    """Add minutes to a pool, once for each reference; it is audited."""
    from api.pool_accounts import TopUpError  # noqa: PLC0415
    from dialbridge.pool import top_up  # noqa: PLC0415
    from state.pool import TopUpResult  # noqa: PLC0415

    try:
        with redis_in_reach():
            result = top_up(settings_of(config), enterprise, minutes=minutes, reference=reference)
    except TopUpError as error:
        fail(str(error))
    match result:
        case TopUpResult.ADDED:
            print(f"{minutes} minutes added", file=sys.stderr)
        case TopUpResult.REPEATED:
            print("nothing added: these minutes were added before", file=sys.stderr)
        case TopUpResult.REFERENCE_USED:
            fail(f"the reference {reference!r} belongs to a top-up of another amount")


@pool.command("ledger")
def pool_ledger(
    enterprise: EnterpriseArgument, start: StartOption, end: EndOption, config: ConfigOption = None
) -> None:
    """Write a JSON line for each change of a pool's balance in a period."""
    from dialbridge.pool import ledger  # noqa: PLC0415

    start, end = _period(start, end)
    with redis_in_reach():
        ledger(settings_of(config), enterprise, start=start, end=end)


@pool.command("check")
def check_pools(config: ConfigOption = None) -> None:
    """Compare pools, ledgers and call detail records, to the second; exit status 1 if they differ."""
    from dialbridge.pool import check  # noqa: PLC0415

    with redis_in_reach():
        count = check(settings_of(config))
    if count:
        fail(f"the books do not add up: {count} discrepancies")


def main() -> None:
    app()


def _period(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """A time without a zone is UTC."""
    start, end = (one if one.tzinfo else one.replace(tzinfo=UTC) for one in (start, end))
    if end <= start:
        raise typer.BadParameter("--to must be later than --from")
    return start, end


def _become(process: str, config: Path | None) -> NoReturn:
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(config.resolve())
    os.execv(sys.executable, [sys.executable, "-m", MODULES[process]])  # noqa: S606
