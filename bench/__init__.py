"""How fast Tillgate is, as ratios to pgbench's TPC-B on the same server and disk in the same run."""
