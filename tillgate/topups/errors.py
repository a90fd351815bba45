"""What top-ups refuse."""

from __future__ import annotations

from tillgate.kernel.errors import Kind, Refusal


class TopUpNotFound(Refusal):
    """No such top_up: '{top_up_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"
    param = "id"

    def __init__(self, top_up_id: str) -> None:
        super().__init__(top_up_id=top_up_id)
