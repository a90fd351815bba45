"""The API and the worker as processes of their own."""

import os
from pathlib import Path

import pytest

from tillgate.runtime.ports import free_port


@pytest.fixture
def environment(app_db_url: str, tmp_path: Path) -> dict[str, str]:
    """What a process of this test's installation is told."""
    return {
        "PATH": os.environ["PATH"],
        "TILLGATE_DATABASE_URL": app_db_url,
        "TILLGATE_DATA_DIR": str(tmp_path),
        "TILLGATE_HTTP__PORT": str(free_port()),
        "TILLGATE_METRICS__WORKER_PORT": str(free_port()),
        "TILLGATE_METRICS__TOKEN": "m3trics",
    }
