"""The host: installed for real, on a copy of this machine that costs nothing."""
