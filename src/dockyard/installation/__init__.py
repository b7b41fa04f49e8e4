"""dockyard on a host: what is put where, and how exactly that is taken away again."""
