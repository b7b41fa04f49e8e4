"""Registries: what dockyard reads there is what the engine pulls, with the login that the engine has stored."""

import json

import pytest

from dockyard.registry.client import Registries
from dockyard.registry.configuration import read_configuration
from dockyard.registry.reference import parse_reference
from tests.engines.world import World, write
from tests.unit.registry.content import Multi, Single, multi, single
from tests.unit.registry.real import BASIC, HTPASSWD, PASSWORD, USER, run_registry
from tests.unit.registry.servers import create_authority


@pytest.mark.matrix
def test_what_a_registry_says_of_an_image_is_what_the_engine_pulls(engine: World) -> None:
    """An index with an attestation, and a single manifest; TLS by an authority of its own, and a password."""
    place = engine.root / "registry-with-login"
    place.mkdir()
    htpasswd = write(place / "htpasswd", HTPASSWD)
    auth = {"htpasswd": {"realm": "tests", "path": str(htpasswd)}}
    images: dict[str, Single | Multi] = {"many": multi("of many"), "one": single("of one")}
    with run_registry(
        place, authority=create_authority(place), auth=auth, headers={"Authorization": BASIC}
    ) as registry:
        insecure = write(place / "registries.conf", f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        how = {"CONTAINERS_REGISTRIES_CONF": str(insecure), "REGISTRY_AUTH_FILE": str(place / "auth.json")}
        engine.run(engine.engine, "login", "-u", USER, "--password-stdin", registry.host, stdin=PASSWORD, env=how)
        configuration = read_configuration(engine.engine, {**engine.environment, **how})
        with Registries(engine.engine, configuration=configuration) as known:
            for name, image in images.items():
                text = f"{registry.host}/dytest/{name}:1"
                pushed = registry.push(f"dytest/{name}", "1", image)
                engine.run(engine.engine, "pull", "-q", text, env=how)
                (pulled,) = json.loads(engine.call("image", "inspect", text))
                engine.call("rmi", text)
                reference = parse_reference(text)
                remote, details = known.platforms(reference), known.details(reference)
                assert known.resolve(reference).digest == remote.digest == pushed
                assert any(listed.endswith(f"@{remote.digest}") for listed in pulled["RepoDigests"])
                ids = {
                    word.partition(":")[2] for word in (remote.digest, details.manifest_digest, details.config_digest)
                }
                assert pulled["Id"].removeprefix("sha256:") in ids
                assert pulled["Config"]["Labels"] == dict(details.labels)
