"""The API tour of the docs, block by block, against a real `tillgate up`."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.install.test_up import CHECKOUT, ports, readiness, up

TOUR = CHECKOUT / "docs" / "start" / "api-tour.md"


@pytest.fixture
def open_dir() -> Generator[Path]:
    """A folder that PostgreSQL's own user can enter."""
    path = Path(tempfile.mkdtemp(prefix="tillgate-tour-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_the_tour_is_what_happens(open_dir: Path) -> None:
    data, environment = open_dir / "data", ports()
    blocks = re.findall(r"^```sh\n(.*?)^```", TOUR.read_text(), re.MULTILINE | re.DOTALL)
    with up(data, environment) as process:
        answer = readiness(process)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail"],
            input="\n".join(blocks),
            env={
                "PATH": os.environ["PATH"],
                **environment,
                "TILLGATE": answer["base_url"],
                "WECHAT": answer["simulators"]["wechat"]["url"],
                "DEMO": str(data / "demo.json"),
                "CLI": f"{sys.executable} -m tillgate.entry.cli --data {data}",
            },
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr
    assert ran.stdout.count("\nsucceeded\n") == 2
    assert "0 not healthy" in ran.stdout
    assert '"code":"balance_insufficient"' in ran.stdout
