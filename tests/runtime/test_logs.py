"""Logs: closed fields, numbered lines, and no secret through any logger."""

import io
import json
import logging
import threading
from collections.abc import Generator
from typing import Any

import pytest

from tillgate.runtime import logs
from tillgate.runtime.settings import LogSettings

SECRETS = {
    "card": "4242424242424242",
    "card with blanks": "5555 5555 5555 4444",
    "card with dashes": "3782-822463-10005",
    "api key": "sk_test_51H8f4kQ2eZvKYlo2C0aB9cD",
    "live key": "sk_live_51H8f4kQ2eZvKYlo2C0aB9cD",
    "webhook secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "private key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----",
}
#: What must not be found in the output, for each.
CORES = {
    "card": "4242424242424242",
    "card with blanks": "5555 5555",
    "card with dashes": "822463",
    "api key": "51H8f4kQ2eZvKYlo2C0aB9cD",
    "live key": "51H8f4kQ2eZvKYlo2C0aB9cD",
    "webhook secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "private key": "MIIEvQIBADANBgkq",
}


class Output:
    """The root logger taken over for one test."""

    def __init__(self, form: str = "json") -> None:
        self.stream = io.StringIO()
        settings = LogSettings(level="debug", format=form)
        self.writer = logs.configure(settings, service="api", stream=self.stream)

    def text(self) -> str:
        self.writer.close()
        return self.stream.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def output() -> Generator[Output]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    made = Output()
    yield made
    made.writer.close()
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def test_a_line_has_the_closed_fields_only(output: Output) -> None:
    log = logging.getLogger("tillgate.payments")

    with logs.bound({"request.id": "req_1", "merchant": 3}):
        log.info(
            "attempt %s", "paid",
            extra={"attempt.id": "att_1", "duration_ms": 12, "their.name": "x", "evil": {"a": 1}},
        )  # fmt: skip

    (line,) = output.lines()
    assert line.pop("@timestamp").endswith("+00:00")
    assert isinstance(line.pop("process.pid"), int)
    assert line == {
        "log.level": "info",
        "log.logger": "tillgate.payments",
        "message": "attempt paid",
        "event.sequence": 1,
        "service.name": "api",
        "request.id": "req_1",
        "merchant": 3,
        "attempt.id": "att_1",
        "duration_ms": 12,
    }


def test_what_is_said_is_as_what_is_logged(output: Output) -> None:
    fields = {"request.id": "req_1", "http.status": 200, "operation": "sk_test_51H8f4kQ2eZvKYlo2C0aB9cD",
              "their.name": "x"}  # fmt: skip
    log = logging.getLogger("tillgate.api")

    with logs.bound({"merchant": 3}):
        log.info("request", extra=fields)
        logs.say(log, "request", fields)

    logged, said = output.lines()
    assert said.pop("event.sequence") == logged.pop("event.sequence") + 1
    del logged["@timestamp"], said["@timestamp"]
    assert said == logged
    assert "their.name" not in said


def test_lines_are_numbered_without_gaps_across_threads(output: Output) -> None:
    def chatter() -> None:
        for _ in range(200):
            logging.getLogger("x").info("hello")

    threads = [threading.Thread(target=chatter) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    numbers = sorted(line["event.sequence"] for line in output.lines())
    assert numbers == list(range(1, 1001))


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_comes_through_any_logger(output: Output, name: str) -> None:
    secret = SECRETS[name]
    loggers = ["tillgate.payments", "aiohttp.client", "asyncpg", "uvicorn.error", "py.warnings", ""]
    # A server started by another test of this process may have turned some of them down.
    for known in filter(None, {*loggers, *(logger.partition(".")[0] for logger in loggers)}):
        log = logging.getLogger(known)
        log.disabled, log.propagate = False, True
        log.handlers.clear()
        log.setLevel(logging.NOTSET)

    for logger in loggers:
        log = logging.getLogger(logger)
        log.warning("in the message: " + secret)  # noqa: G003
        log.warning("in an argument: %s", secret)
        log.warning("in a structure: %s", {"card": secret})
        log.warning("in a field", extra={"operation": secret, "merchant": [secret]})
        with logs.bound({"request.id": secret}):
            log.info("in the context")
        try:
            raise ValueError(f"in an error: {secret}")
        except ValueError:
            log.exception("failed")

    text = output.text()
    assert len(text.splitlines()) >= 6 * len(loggers)
    assert CORES[name] not in text
    assert "masked" in text or "[card ****" in text


def test_plain_text_is_masked_too() -> None:
    output = Output("text")

    logging.getLogger("x").error("key %s", SECRETS["api key"], extra={"payment.id": "pi_1"})

    text = output.text()
    assert CORES["api key"] not in text
    assert text.rstrip().endswith("payment.id=pi_1")


def test_a_record_that_cannot_be_read_does_not_hurt_its_caller(
    output: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 1, "%d cups", (SECRETS["card"],), None)

    output.writer.handle(record)  # not through the root: pytest's own handler would be hurt

    assert [line["message"] for line in output.lines()] == [
        "%d cups (with arguments that do not fit)"
    ]
    assert capsys.readouterr().err == ""


def test_ids_of_ours_are_left_readable(output: Output) -> None:
    ids = ["pi_01k9z6qg3v9w4t5x7y8z9a0b1c", "evt_01k9z6qg3v9w4t5x7y8z9a0b1c", "1763800000"]

    for one in ids:
        logging.getLogger("x").info("see %s", one)

    assert [line["message"] for line in output.lines()] == [f"see {one}" for one in ids]
