"""docker-compose.yml and .env.example: valid, without passwords, and as the pages say."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from api.cli import app as cli
from api.cli.store import password_in
from infrastructure.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "tallystick"}
REQUIRED = sorted(set(re.findall(r"\$\{(\w+):\?", FILE.read_text())))
FILLED = {name: f"{number:032x}" for number, name in enumerate(REQUIRED)}
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SECRET = re.compile(r"PASSWORD|SECRET|DSN")


def test_the_services_are_those_of_the_page() -> None:
    section = OPERATIONS.partition("\n## With Docker\n")[2].partition("\n## ")[0]
    first = section.strip().splitlines()[0]
    assert list(SERVICES) == [name for name in re.findall(r"`(\w+)`", first) if name != "tally"]
    images = {service["image"] for service in SERVICES.values()} - {"tallystick"}
    assert set(re.findall(r"`([\w/]+:[\d.]+)`", first)) == images


# What docker-compose itself says.


@pytest.fixture(scope="session")
def docker_compose() -> list[str]:
    """The command: Debian's docker-compose, or Docker's plugin. Neither needs an engine here."""
    if found := shutil.which("docker-compose"):
        return [found]
    if docker := shutil.which("docker"):
        asked = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return [docker, "compose"]
    pytest.skip("neither docker-compose nor docker compose is installed")


def config(
    docker_compose: list[str], folder: Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """The file as docker-compose reads it with an .env of these variables."""
    env_file = folder / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    files = ["--env-file", str(env_file), "--file", str(FILE)]
    return subprocess.run(
        [*docker_compose, *files, "config"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_docker_compose_takes_it_with_the_secrets_filled_in(
    docker_compose: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = config(docker_compose, tmp_path, FILLED)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert services.keys() == SERVICES.keys()
    for name in OURS:
        with monkeypatch.context() as patched:
            for variable, value in services[name]["environment"].items():
                patched.setenv(variable, str(value))
            settings = Settings.load()
        assert settings.dsn is not None
        # So that `migrate` gives tally_app the password that the others come with.
        assert password_in(settings.dsn.get_secret_value()) == FILLED["APP_PASSWORD"]


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_a_secret_without_a_value_stops_it_by_name(
    docker_compose: list[str], tmp_path: Path, name: str, how: str
) -> None:
    others = {other: value for other, value in FILLED.items() if other != name}
    done = config(docker_compose, tmp_path, others if how == "absent" else others | {name: ""})
    assert done.returncode != 0
    assert name in done.stderr


# Variables and secrets.


def test_the_example_has_every_variable_and_no_secret_has_a_value() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = dict(re.findall(r"^(\w+)=(.*)$", "\n".join(lines), re.MULTILINE))
    optional = dict(re.findall(r"^#(\w+)=(.*)$", "\n".join(lines), re.MULTILINE))
    assert sorted(given) == REQUIRED
    assert set(given.values()) == {""}
    assert {value for name, value in optional.items() if SECRET.search(name)} <= {""}
    used = set(re.findall(r"\$\{(\w+)", FILE.read_text()))
    assert given.keys() | optional.keys() == used


def environments() -> Iterator[tuple[str, str, str]]:
    for service, described in SERVICES.items():
        for variable, value in described["environment"].items():
            yield service, variable, str(value)


def test_every_variable_of_ours_is_a_setting() -> None:
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    ours = {variable for service, variable, _ in environments() if service in OURS}
    assert ours - settings == set()
    example = re.findall(rf"^#?({PREFIX}\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert set(example) - settings == set()


def test_no_secret_stands_in_the_file() -> None:
    reference = r"\$\{\w+:(\?[^}]*|-)\}"
    dsn = rf"postgresql://\w+:{reference}@postgres/tallystick"
    for service, variable, value in environments():
        if SECRET.search(variable):
            pattern = dsn if variable.endswith("DSN") else reference
            assert re.fullmatch(pattern, value), (service, variable)
        assert not re.search(r"://[^/@$]*:[^/@$]+@", value), (service, variable)


def test_who_needs_a_secret_has_it_and_nobody_else() -> None:
    holders: dict[str, set[str]] = {}
    for service, described in SERVICES.items():
        for name in re.findall(r"\$\{(\w+)", json.dumps(described)):
            holders.setdefault(name, set()).add(service)
    assert holders["POSTGRES_PASSWORD"] == {"postgres", "migrate"}
    assert holders["APP_PASSWORD"] == OURS.keys()
    assert holders["TALLY_SECRET"] == holders["TALLY_SECRET_PREVIOUS"] == {"api"}
    owners = {service for service, name, _ in environments() if name == "TALLY_OWNER_DSN"}
    assert owners == {"migrate"}
    assert not any("env_file" in described for described in SERVICES.values())


# Commands.


def parse(arguments: list[str]) -> None:
    """Raises, as `tally` would, where it doesn't know the command or an option."""
    command: Any = typer.main.get_command(cli)
    while hasattr(command, "get_command"):
        name, *arguments = arguments
        found = command.get_command(None, name)
        assert found is not None, f"`tally {name}` is no command"
        command = found
    command.make_context(command.name, list(arguments))


@pytest.mark.parametrize("service", OURS)
def test_what_a_service_runs_is_a_command_of_tally(service: str) -> None:
    parse(OURS[service]["command"])


def documented() -> list[list[str]]:
    """What the pages and the example tell to type, as words."""
    text = "\n".join(
        file.read_text() for file in (*ROOT.glob("docs/*.md"), ROOT / ".env.example", FILE)
    ).replace("\\\n", " ")
    lines = re.findall(r"^[#\s]*(docker-compose (?!config)[^`\n]+)$", text, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


def test_what_the_pages_tell_to_type_names_services_and_commands_there_are() -> None:
    commands = documented()
    assert len(commands) > 5
    for command, *words in commands:
        assert command in {"build", "exec", "logs", "ps", "start", "stop", "up"}
        named = [word.partition("=")[0] for word in words if not word.startswith(("-", "TALLY_"))]
        assert set(named[:1] if command == "exec" else named) <= SERVICES.keys(), words
    inside = [words[words.index("tally") + 1 :] for words in commands if "tally" in words]
    assert len(inside) > 3
    for arguments in inside:
        parse(arguments)


# How the services are kept.


def test_only_the_api_can_be_reached_and_from_this_machine_alone() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"api"}
    default = Settings.model_fields["port"].default
    address = f"127.0.0.1:{default}"
    assert SERVICES["api"]["ports"] == [f"${{PUBLISH:-{address}}}:{default}"]
    assert f"http://{address} of this machine only" in OPERATIONS
    assert f"\n#PUBLISH={address}\n" in (ROOT / ".env.example").read_text()


def test_what_must_last_is_in_a_volume_and_our_image_keeps_nothing() -> None:
    volumes = {
        name: service["volumes"] for name, service in SERVICES.items() if "volumes" in service
    }
    # PostgreSQL 18 and later: not …/data, which would be an unnamed volume beside this one.
    assert volumes == {
        "postgres": ["postgres:/var/lib/postgresql"],
        "kafka": [f"kafka:{SERVICES['kafka']['environment']['KAFKA_LOG_DIRS']}"],
    }
    assert yaml.safe_load(FILE.read_text())["volumes"].keys() == volumes.keys()
    for service in OURS.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_each_service_waits_for_what_it_needs() -> None:
    needs = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    migrated = {"migrate": "service_completed_successfully"}
    both = migrated | {"kafka": "service_healthy"}
    assert needs == {
        "postgres": {},
        "kafka": {},
        "migrate": {"postgres": "service_healthy"},
        "api": migrated,
        "mirror": both,
        "workers": both,
    }
    assert all("healthcheck" in SERVICES[name] for name in ("postgres", "kafka", "api"))


def test_what_ends_is_started_again_but_for_the_migration() -> None:
    restarts = {name: service["restart"] for name, service in SERVICES.items()}
    assert restarts.pop("migrate") == "no"
    assert set(restarts.values()) == {"unless-stopped"}


def test_a_service_has_the_time_to_end_that_it_is_promised() -> None:
    seconds = {"s": 1, "m": 60}
    grace = {
        name: int(service["stop_grace_period"][:-1]) * seconds[service["stop_grace_period"][-1]]
        for name, service in SERVICES.items()
        if name != "migrate"
    }
    assert grace["api"] > Settings.model_fields["drain_timeout_s"].default
    assert grace["mirror"] > Settings.model_fields["kafka_timeout_s"].default


def test_the_broker_makes_no_topic_by_itself_and_all_know_that_it_is_alone() -> None:
    kafka = SERVICES["kafka"]["environment"]
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    factors = {name: kafka[name] for name in kafka if name.endswith(("FACTOR", "MIN_ISR"))}
    assert len(factors) == 5
    assert set(factors.values()) == {1}
    advertised = kafka["KAFKA_ADVERTISED_LISTENERS"].removeprefix("PLAINTEXT://")
    for name in ("api", "mirror", "workers"):
        ours = SERVICES[name]["environment"]
        assert ours["TALLY_KAFKA_BOOTSTRAP"] == advertised
        assert ours["TALLY_KAFKA_REPLICATION_FACTOR"] == 1
        assert ours["TALLY_KAFKA_MIN_INSYNC_REPLICAS"] == 1


class Readyz(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_of_the_api_asks_whether_it_is_ready(status: int, healthy: bool) -> None:
    kind, python, flag, program = SERVICES["api"]["healthcheck"]["test"]
    assert (kind, python, flag) == ("CMD", "python", "-c")
    port = Settings.model_fields["port"].default
    answering = type("Answering", (Readyz,), {"status": status})
    with HTTPServer(("127.0.0.1", 0), answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = program.replace(str(port), str(server.server_port))
        # A proxy that containers are given by Docker's own configuration is not asked.
        proxied = {"PATH": "/usr/bin:/bin", "http_proxy": "http://127.0.0.1:1"}
        asked = [sys.executable, "-c", here]
        done = subprocess.run(asked, env=proxied, capture_output=True, timeout=30, check=False)
        server.shutdown()
    assert (done.returncode == 0) is healthy, done.stderr
    gone = subprocess.run(asked, env=proxied, capture_output=True, timeout=30, check=False)
    assert gone.returncode != 0
