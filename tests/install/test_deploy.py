"""What is handed out for production is at least true to the settings and commands there are."""

import re
from pathlib import Path

from tillgate.entry.cli import cli
from tillgate.runtime.settings import load

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def test_example_settings_are_understood() -> None:
    settings = load({"TILLGATE_CONFIG": str(DEPLOY / "tillgate.example.toml")})

    assert not settings.simulators.enabled
    assert settings.http.base_url == "https://pay.example.com"


def test_units_run_commands_that_exist() -> None:
    started = {
        match[1]
        for unit in DEPLOY.glob("*.service")
        for match in re.finditer(r"^ExecStart=\S+/tillgate (\w+)", unit.read_text(), re.MULTILINE)
    }

    assert started == {"serve", "worker", "migrate"} <= set(cli.commands)
