from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config import ConfigurationError, Settings, load_settings


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def file(text: str) -> Path:
        path = tmp_path / "dialbridge.toml"
        path.write_text(text)
        return path

    return file


def test_without_a_file_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIALBRIDGE_CONFIG", raising=False)
    assert load_settings() == Settings()


def test_the_environment_names_the_file(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIALBRIDGE_CONFIG", str(write("[trunk]\nhost = 'sbc.example'\n")))
    assert load_settings().trunk.host == "sbc.example"


def test_the_environment_overrides_one_key_of_the_file(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("[trunk]\nhost = 'sbc.example'\nport = 5070\n")
    monkeypatch.setenv("DIALBRIDGE_TRUNK__PORT", "5090")
    trunk = load_settings(path).trunk
    assert (trunk.host, trunk.port) == ("sbc.example", 5090)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[trunk]\nport = 99999\n", "trunk.port: Input should be less than or equal to 65535"),
        ("[trunk]\ncodecs = ['G723']\n", "trunk.codecs.0: Input should be 'PCMU', 'PCMA', "),
        ("[trunk]\nhots = 'sbc.example'\n", "trunk.hots: Extra inputs are not permitted"),
        ("[trunc]\nhost = 'sbc.example'\n", "trunc: Extra inputs are not permitted"),
        ("[sip]\nrtp_port_min = 4000\nrtp_port_max = 3000\n", "sip: Value error, rtp_port_min must be below"),
        (
            "[ringback]\ntone = { frequencies = [425], cadence = [1000, 4000, 1000] }\n",
            "ringback.tone: Value error, cadence needs an off time",
        ),
        ("[trunk]\ncodecs = ['PCMU', 'PCMU']\n", "codecs names a codec twice"),
        ("[recording]\nkeys = ['age1x']\n", "recording.keys.0: Value error, must be an AGE-SECRET-KEY-1"),
        ("[trunk]\nsession_expires = 100\nmin_se = 200\n", "session_expires must not be below min_se"),
        (
            "[[clients]]\nid = 'crm'\nsecret = 's'\nenterprise = 'acme'\n",
            "client 'crm' names the unknown enterprise 'acme'",
        ),
        (
            "[auth]\nembedded_issuer = true\n"
            "[[enterprises]]\nid = 'acme'\nnumber = '+447700900100'\n"
            "[[clients]]\nid = 'crm'\nenterprise = 'acme'\n",
            "client 'crm' has neither `secret` nor `jwks`",
        ),
        (
            "[[enterprises]]\nid = 'acme'\nnumber = '+447700900100'\n" * 2,
            "two enterprises have the same id",
        ),
        ("[policy]\nallow = ['+44']\ndeny = ['+44']\n", "policy: Value error, allow and deny both name +44"),
        ("[policy]\ndeny = ['0044']\n", "policy.deny.0: String should match"),
        ("[policy]\ndeny = ['+04']\n", "policy.deny.0: String should match"),
        ("[policy]\nclasses = ['expensive']\n", "policy.classes.0: Input should be 'premium_rate', "),
        ("[policy]\ncountries = ['UK']\n", "policy.countries.0: Value error, must be the ISO 3166-1"),
        ("[policy]\ncountries = ['Britain']\n", "policy.countries.0: String should match"),
        ("[policy]\ncaller_rates = [{ calls = 0, seconds = 60 }]\n", "policy.caller_rates.0.calls: Input"),
        (
            "[policy]\ndestination_rates = [{ calls = 1, seconds = 60 }]\n",
            "destination_rates.0.prefix: Field",
        ),
        (
            "[[enterprises]]\nid = 'acme'\nnumber = '+447700900100'\n"
            "policy = { grantable_classes = ['premium_rate'] }\n",
            "enterprises.0.policy.grantable_classes: Extra inputs are not permitted",
        ),
        (
            "[[enterprises]]\nid = 'acme'\nnumber = '07700 900100'\n",
            "enterprises.0.number: String should match",
        ),
        (
            "[[enterprises]]\nid = 'acme'\nnumber = '+447700900100'\nhome_country = 'EN'\n",
            "enterprises.0.home_country: Value error, must be the ISO 3166-1",
        ),
        (
            "[[enterprises]]\nid = 'acme'\nnumber = '+447700900100'\nalerts_sink = 'http://a.example/x'\n",
            "enterprise 'acme': alerts_sink must be an https URL",
        ),
        ("[cdr]\nfolder = 'cdr'\n[call]\nretention = 172799\n", "must be at least two days for cdr.rotation"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(
    write: Callable[[str], Path], text: str, complaint: str
) -> None:
    path = write(text)
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert complaint in message
    assert message.endswith("see config/dialbridge.example.toml")


def test_every_problem_is_named(write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(write("[trunk]\nport = 'x'\n[log]\nlevel = 'loud'\n"))
    assert [line.split(": ")[1] for line in str(refusal.value).splitlines()] == ["trunk.port", "log.level"]


def test_a_secret_is_not_repeated_in_the_complaint(write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(write("[[clients]]\nid = ''\nsecret = 'hush-hush'\nenterprise = 'acme'\n"))
    assert "hush-hush" not in str(refusal.value)


@pytest.mark.parametrize(
    "secret", ["whsec_", "whsec_c2hvcnQ=", "whsec_!", "bm8gcHJlZml4", "whsec_" + "A" * 88]
)
def test_a_webhook_secret_must_be_one(write: Callable[[str], Path], secret: str) -> None:
    block = f"[[enterprises]]\nid = 'acme'\nnumber = '+447700900100'\nwebhook_secrets = ['{secret}']\n"
    with pytest.raises(ConfigurationError, match=r"webhook_secrets\.0: .*must be whsec_") as refusal:
        load_settings(write(block))
    assert secret.removeprefix("whsec_") in ("", "!") or secret not in str(refusal.value)


def enterprise_with(v1: str) -> str:
    return f"[[enterprises]]\nid = 'acme'\nnumber = '+447700900100'\nv1 = {{ {v1} }}\n"


@pytest.mark.parametrize(
    ("v1", "complaint"),
    [
        ("app_server = 'app.example.com'", "v1.app_server"),
        ("app_server = 'ftp://app.example.com'", "v1.app_server"),
        ("app_server = 'https://user:secret@app.example.com'", "v1.app_server"),
        ("app_server = 'https://app.example.com/?a=b'", "v1.app_server"),
        ("app_server = 'http://app.example.com'", "must be an https URL"),
        ("username = 'us'", "username and password go together"),
        ("password = 'hush-hush'", "username and password go together"),
        ("username = 'u:s', password = 'hush-hush'", "v1.username"),
    ],
)
def test_an_application_that_cannot_be_used(write: Callable[[str], Path], v1: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as refusal:
        load_settings(write(enterprise_with(v1)))
    assert "hush-hush" not in str(refusal.value)


def test_an_application_without_tls_is_for_the_lab(write: Callable[[str], Path]) -> None:
    lab = "[notifier]\nallow_insecure_sinks = true\n"
    block = enterprise_with(
        "app_server = 'http://127.0.0.1:8000/app', username = 'us', password = 'hush-hush'"
    )
    (enterprise,) = load_settings(write(lab + block)).enterprises
    assert enterprise.profile.v1.app_server == "http://127.0.0.1:8000/app"
    assert "hush-hush" not in repr(enterprise)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"absent\.toml: cannot be read \(No such file or directory\)"
    ):
        load_settings(tmp_path / "absent.toml")


def test_a_file_that_is_not_toml(write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigurationError, match=r"dialbridge\.toml: not valid TOML"):
        load_settings(write("host: 127.0.0.1"))


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().trunk.__setattr__("port", 1)


def test_a_client_of_an_external_provider_needs_no_secret_of_ours(write: Callable[[str], Path]) -> None:
    settings = load_settings(
        write(
            "[auth]\nissuer = 'https://id.example.com'\n"
            "[[enterprises]]\nid = 'acme'\nnumber = '+447700900100'\n"
            "[[clients]]\nid = 'crm'\nenterprise = 'acme'\n"
        )
    )
    assert settings.enterprise_of("crm") == "acme"


def test_the_readme_s_settings_for_a_trunk_of_one_s_own_can_be_used(write: Callable[[str], Path]) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    settings = load_settings(write(readme.split("```toml\n")[1].split("```")[0]))
    assert settings.clients
    assert all(settings.enterprise_of(client.id) for client in settings.clients)
    assert settings.auth.issuer
