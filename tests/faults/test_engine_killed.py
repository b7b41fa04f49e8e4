"""The engine itself is killed in the middle of an upgrade, and started again."""

from tests.engines.world import Record, World
from tests.faults.harness import ENGINE_HOWS, Victim, every_step

pytest_plugins = ["tests.engines.remapped"]


def test_engine_killed_at_steps(remapped: World, record_property: Record) -> None:
    """Killed around steps of an upgrade: after `d up-all`, as at boot, one container is up, and nothing is left."""
    victim = Victim(remapped, further="up-all")
    outcomes = list(every_step(victim, stride=2, hows=ENGINE_HOWS))
    how = f"{victim.restarts} of them after the engine was started anew, as d told"
    record_property("figure", f"docker: the engine killed at {len(outcomes)} steps, all put in order, {how}")
    assert [outcome for outcome in outcomes if outcome.wrong] == []
    assert len(outcomes) > 4
