"""Plans as pure functions of settings and facts. No module here has side effects or does I/O."""
