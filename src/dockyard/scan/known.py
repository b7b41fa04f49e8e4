"""Rules for what well-known programs write beside their data: spool, cache and pid directories.

Like all rules without `executable`, they never cover a program, nor anything with setuid or capabilities.
"""

from dockyard.settings.rule_type import Rule

ORIGIN = "known_changes"
"""Where these rules are from, for reports: the key of the host file that turns them off."""

DIRECTORIES = {
    "Apache": ("/usr/local/apache2/logs/httpd.pid", "/var/cache/apache2/mod_cache_disk/"),
    "BIND": ("/var/cache/bind/",),
    "Caddy": ("/config/caddy/autosave.json",),
    "CUPS": ("/var/cache/cups/", "/var/spool/cups/"),
    "Exim": ("/var/spool/exim4/",),
    "HAProxy": ("/var/lib/haproxy/dev/",),
    "MySQL and MariaDB": ("/var/lib/mysql-files/",),
    "nginx": (
        *(f"/var/lib/nginx/{name}" for name in ("body", "fastcgi", "proxy", "scgi", "uwsgi")),
        *(f"/var/lib/nginx/{name}/" for name in ("body", "fastcgi", "proxy", "scgi", "uwsgi")),
        *(f"/var/lib/nginx/tmp/{name}/" for name in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")),
        *(f"/var/cache/nginx/{name}_temp" for name in ("client", "fastcgi", "proxy", "scgi", "uwsgi")),
        *(f"/var/cache/nginx/{name}_temp/" for name in ("client", "fastcgi", "proxy", "scgi", "uwsgi")),
    ),
    "PHP": ("/var/lib/php/sessions/",),
    "Postfix": ("/var/spool/postfix/*/", "/var/lib/postfix/master.lock"),
    "Squid": ("/var/cache/squid/", "/var/spool/squid/"),
    "Varnish": ("/var/lib/varnish/",),
}
"""What each program writes there, as patterns of rules."""

_WHAT = ("new", "edited", "replaced", "metadata", "deleted")
_KINDS = ("file", "directory", "link", "pipe", "socket")

RULES = tuple(
    Rule(path, ORIGIN, what=_WHAT, kinds=_KINDS, reason=f"{program} writes there", by="dockyard")
    for program, paths in DIRECTORIES.items()
    for path in paths
)
