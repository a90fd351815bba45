"""What every simulator stands on: HTTP, clock, faults, books, notices, control and the phone."""
