"""Moving in and out: compose projects made services, and services made compose files and quadlets."""
