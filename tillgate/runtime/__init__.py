"""What every room stands on: database, outbox, inbox, jobs, settings, telemetry, secrets."""
