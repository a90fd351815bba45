"""Drives django-hordak, a double-entry ledger on Django's ORM, for `bench.ledger_peers`.

    drive_hordak.py prepare ACCOUNTS              make its tables and open accounts
    drive_hordak.py transfer SECONDS uniform|hot  transfer in a loop; print how many as JSON

The database is named by PEER_DATABASE, as JSON in the words of Django's settings. Each transfer is
a transaction of its own (`atomic()`), from one account to another or to the first of all.
"""

import json
import os
import random
import sys
import time

import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "mptt", "hordak"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "CONN_MAX_AGE": None,
            **json.loads(os.environ["PEER_DATABASE"]),
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DEFAULT_CURRENCY="CNY",
    CURRENCIES=["CNY"],
    USE_TZ=True,
    SECRET_KEY="of no use here",
)
django.setup()

from django.core.management import call_command  # noqa: E402  Django is set up first
from django.db import transaction  # noqa: E402
from hordak.models import Account  # noqa: E402
from moneyed import Money  # noqa: E402


def prepare(count: int) -> None:
    call_command("migrate", verbosity=0)
    for number in range(count):
        Account.objects.create(
            name=f"Wallet {number}", code=f"{number:06}", type="LI", currencies=["CNY"]
        )


def transfer(seconds: float, kind: str) -> int:
    accounts = list(Account.objects.order_by("id"))
    amount, done = Money(1, "CNY"), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        one, other = random.sample(accounts[1:], 2)
        with transaction.atomic():
            one.transfer_to(accounts[0] if kind == "hot" else other, amount)
        done += 1
    return done


if sys.argv[1] == "prepare":
    prepare(int(sys.argv[2]))
else:
    print(json.dumps({"transfers": transfer(float(sys.argv[2]), sys.argv[3])}))
