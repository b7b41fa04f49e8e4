from pathlib import Path

import pytest

from dockyard.errors import Problem, SettingsError, UsageError
from dockyard.service import Service
from dockyard.settings.keys import (
    AUTOSTART,
    DNS,
    ENV,
    FOREGROUND,
    HOSTNAME,
    IMAGE,
    IP,
    KEYS,
    LOG,
    MEMORY_LIMIT,
    MOUNT_RO,
    NAME,
    NAME_PREFIX,
    NETWORK,
    PORTS,
    PUID,
    REPO1,
    RM,
    SUBNET,
    TAG,
    VOL_BASE,
    Scope,
)
from dockyard.settings.load import HostLayers, load, read_host
from dockyard.settings.resolve import Settings, Value
from dockyard.settings.values import LogDriver, Mode, Port, Variable, Wave
from tests.unit.making import problems_of, settings_of

PROD, DEV, TEST, IN_PLACE = Mode.PROD, Mode.DEV, Mode.TEST, Mode.IN_PLACE
NOTHING = HostLayers({}, {})
