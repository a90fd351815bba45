"""Events, merchants' endpoints, signed deliveries, replays."""
